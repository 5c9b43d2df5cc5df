"""The picture of the temperature scan: F per site, its relative error, energy and magnetisation over beta."""

from collections.abc import Sequence
from math import asinh
from pathlib import Path
from typing import Protocol

import matplotlib as mpl
import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zoo.exact.onsager import spontaneous_magnetization

BETA_C = asinh(1) / 2
_INK = "#1c2b39"
_COLOURS = ("#2d6a8e", "#d39b2a", "#c8553d", "#6b8f3c", "#7c5aa6", "#3aa6a0")
_MARKERS = ("s", "^", "o", "D", "v", "P")
_SMALLEST = 1e-6  # relative errors below are drawn there

Curve = Float64[np.ndarray, " beta"]


class Drawn(Protocol):
    """What is drawn of a method."""

    @property
    def name(self) -> str:
        """For the legend."""

    @property
    def free_energy(self) -> Curve:
        """F / N."""

    @property
    def error(self) -> Curve:
        """Standard error of it."""

    @property
    def energy(self) -> Curve:
        """E / N."""

    @property
    def magnetization(self) -> Curve:
        """|m|; NaN where it is not known."""


def draw_figure(betas: Curve, scans: Sequence[Drawn], path: Path) -> None:
    """Write the picture to ``path``; the first of ``scans`` is the exact one."""
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "text.color": _INK}):
        figure = Figure(figsize=(10, 7), layout="constrained", dpi=150)
        (free_energy, relative), (energy, magnetization) = figure.subplots(2, 2, sharex=True)
        exact, others = scans[0], scans[1:]
        _draw_curves(free_energy, betas, others, "free_energy")
        free_energy.plot(betas, exact.free_energy, color=_INK, linewidth=1.2, label="exact (Kaufman)", zorder=5)
        free_energy.set(ylabel="F / N", title="Free energy per site")
        free_energy.set_xlim(betas[0] - 0.01, betas[-1] + 0.01)
        free_energy.legend(frameon=False)
        _draw_relative_errors(relative, betas, exact, others)
        _draw_curves(energy, betas, others, "energy")
        energy.plot(betas, exact.energy, color=_INK, linewidth=1.2, zorder=5)
        energy.set(ylabel="E / N", xlabel="beta", title="Energy per site")
        _draw_curves(magnetization, betas, others, "magnetization")
        fine = np.linspace(betas[0], betas[-1], 400)
        infinite = [spontaneous_magnetization(beta) for beta in fine.tolist()]
        (yang,) = magnetization.plot(fine, infinite, color=_INK, linewidth=1.2, label="infinite lattice (Yang)")
        magnetization.set(ylabel="|m|", xlabel="beta", title="Magnetisation per site")
        magnetization.legend(handles=[yang], frameon=False, loc="upper left")
        for axes in (free_energy, relative, energy, magnetization):
            axes.axvline(BETA_C, color=_INK, linestyle=":", linewidth=0.8)
        figure.suptitle("Ising model, 16 x 16, periodic; dotted: Onsager's critical point", fontweight="bold")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)


def _draw_curves(axes: Axes, betas: Curve, scans: Sequence[Drawn], quantity: str) -> None:
    for scan, colour, marker in zip(scans, _COLOURS, _MARKERS, strict=False):
        axes.plot(
            betas,
            getattr(scan, quantity),
            color=colour,
            marker=marker,
            markersize=4,
            markerfacecolor="none",
            linewidth=0.9,
            label=scan.name,
        )


def _draw_relative_errors(axes: Axes, betas: Curve, exact: Drawn, scans: Sequence[Drawn]) -> None:
    """|F - F_exact| / |F_exact|, with one standard error where there is one."""
    for scan, colour, marker in zip(scans, _COLOURS, _MARKERS, strict=False):
        gap = np.maximum(np.abs((scan.free_energy - exact.free_energy) / exact.free_energy), _SMALLEST)
        error = np.minimum(scan.error / np.abs(exact.free_energy), 0.99 * gap)
        axes.errorbar(
            betas,
            gap,
            yerr=error,
            color=colour,
            marker=marker,
            markersize=4,
            markerfacecolor="none",
            linewidth=0.9,
            label=scan.name,
        )
    axes.set_yscale("log")
    axes.set(ylabel="|F - exact| / |exact|", title="Relative error of F")
