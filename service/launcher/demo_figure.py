"""The demo's picture: samples, the loss on its way to the exact value, and energies beside a Markov chain's."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from service.launcher.demo_findings import Findings

_INK = "#1c2b39"
_MODEL = "#c8553d"
_CHAIN = "#2d6a8e"
_ROWS, _COLUMNS = 6, 8


def draw_figure(findings: Findings, path: Path) -> None:
    """Write the picture to ``path``."""
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "text.color": _INK}):
        figure = Figure(figsize=(13, 4.4), layout="constrained", dpi=150)
        samples, loss, energies = figure.subplots(1, 3, width_ratios=[1.25, 1, 1])
        _draw_samples(samples, findings)
        _draw_loss(loss, findings)
        _draw_energies(energies, findings)
        figure.suptitle(_title(findings), fontsize=12, fontweight="bold")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)


def _draw_samples(axes: Axes, findings: Findings) -> None:
    """A sheet of independent samples, a white line between them."""
    shown = findings.samples[: _ROWS * _COLUMNS].astype(float)
    rows, columns = shown.shape[1:]
    framed = np.full((len(shown), rows + 1, columns + 1), np.nan)
    framed[:, :rows, :columns] = shown
    sheet = framed.reshape(_ROWS, _COLUMNS, rows + 1, columns + 1).swapaxes(1, 2).reshape(_ROWS * (rows + 1), -1)
    axes.imshow(sheet[:-1, :-1], cmap=mpl.colors.ListedColormap([_INK, "#f2d9b1"]), interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(f"{len(shown)} independent samples")


def _draw_loss(axes: Axes, findings: Findings) -> None:
    """The variational gap per site, which training lowers towards zero."""
    exact = findings.free_energy.exact
    if exact is None:
        return
    num_sites = findings.target.space.num_sites
    steps = [point.step for point in findings.loss]
    values = [np.nan if point.value is None else point.value for point in findings.loss]
    gaps = np.abs(np.array(values) - exact.beta_f) / num_sites
    axes.semilogy(steps, gaps, color=_MODEL, linewidth=0.8, label="one batch")
    axes.axhline(max(findings.gap_per_site, 1e-7), color=_INK, linestyle=":", label="trained model, 10,000 samples")
    annealed = max((p.step for p in findings.beta if p.value is not None and p.value < findings.target.beta), default=0)
    axes.axvspan(0, annealed, color=_CHAIN, alpha=0.12, linewidth=0, label="beta still rising")
    axes.set(xlabel="training step", ylabel="|variational bound - exact| per site", title="Loss")
    axes.legend(frameon=False)


def _draw_energies(axes: Axes, findings: Findings) -> None:
    """Energy histograms of the model and of a Metropolis chain, on the levels that the lattice has."""
    num_sites = findings.target.space.num_sites
    both = np.concatenate([findings.energies, findings.chain_energies]) / num_sites
    step = 4 / num_sites
    edges = np.arange(both.min() - step / 2, both.max() + step, step).tolist()
    axes.hist(
        findings.chain_energies / num_sites, edges, density=True, color=_CHAIN, alpha=0.45, label="Metropolis chain"
    )
    axes.hist(
        findings.energies / num_sites, edges, density=True, histtype="step", color=_MODEL, linewidth=1.4, label="model"
    )
    axes.set(xlabel="energy per site", ylabel="density", title="Energy")
    axes.legend(frameon=False)


def _title(findings: Findings) -> str:
    shape = "x".join(map(str, findings.target.shape))
    return f"A network trained on the {shape} periodic Ising model at beta = {findings.target.beta:g}"
