"""Samples of a model that are corrected towards its target: with weights, or as states of chains that it helps.

Chains run in groups of a fixed number, each group with a random stream of its own; how many there are, and how long
they run, is a pure function of the correction and n.  So what a request gets depends on nothing but the version, its
conditions, the correction, n and the seed.  Between two blocks of steps a request can be given up.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import NDArray

from workers.engine.chain_groups import GROUPS, Block, ChainGroup, ChainQuestion
from workers.engine.tiled import Sample
from zoo.core.models import density_of
from zoo.core.random import RandomStream
from zoo.estimators.chains import MAX_R_HAT, chain_average, r_hat
from zoo.estimators.weights import MIN_EFFECTIVE_SAMPLES, doubts_of_weights, effective_sample_size, pareto_k
from zoo.specs.corrections import Correction

if TYPE_CHECKING:
    from workers.engine.operations import Engine

Part = dict[str, Any]

ORDER_PARAMETERS = (
    "magnetization",
    "abs_magnetization",
    "max_abs_overlap",
    "topological_charge",
    "mean_displacement",
    "radius_of_gyration",
)
"""Observables of targets that chains are slow to forget: their autocorrelation is told beside that of the energy."""

_CHAIN_STREAM = 2**25  # index of the stream that groups of chains have theirs from, apart from those that models use
_START, _WARM_UP, _WALK = range(3)  # parts of a group's stream
_DIAGNOSED_GROUPS = 64  # whose series are kept


def sample_corrected(engine: "Engine", payload: Part) -> Iterator[Part]:
    """``samples`` in parts with what ``include`` names, ``progress`` where there are none, ``diagnostics`` at the end.

    ``importance``: the samples that a plain request has, with ``log_weight`` = -beta E - ln q.  ``metropolis`` and
    ``latent_hmc``: states of Markov chains whose stationary distribution is the target's, without weights.

    Raises:
        CapabilityMissingError: there is no target, or no latent space.
        NumericalError: every weight is zero, or chains that are not at configurations of finite energy.
    """
    yield from _CORRECTIONS[payload["correction"]](engine, payload)


# ---- weights


def _weighed(engine: "Engine", payload: Part) -> Iterator[Part]:
    drawing, log_weights = Sample(), []
    names = {"samples", "log_weight", *payload["include"]}
    wanted = payload | {"include": ["log_prob", "energy"]}
    for piece in drawing.pieces(engine, wanted):
        (part,) = drawing.compute(engine, [piece])
        log_weights.append(part["log_weight"])
        yield {name: array for name, array in part.items() if name in names}
    yield {"diagnostics": weight_diagnostics(np.concatenate(log_weights))}


def weight_diagnostics(log_weights: Float64[np.ndarray, " sample"]) -> Part:
    """What weights say about themselves, by name.

    Raises:
        NumericalError: NaN or +inf, or every weight zero.
    """
    n, ess, k = len(log_weights), effective_sample_size(log_weights), pareto_k(log_weights)
    doubts = doubts_of_weights(n, ess, k)
    return {
        "correction": "importance",
        "num_samples": n,
        "independent": True,
        "effective_sample_size": ess,
        "effective_sample_fraction": ess / n,
        "pareto_k": k,
        "reliable": not doubts,
        "warnings": list(doubts),
    }


# ---- chains


@dataclass
class _Record:
    """What the chains did: the series of the energy and of order parameters are kept of the first groups."""

    num_groups: int = 0
    series: dict[str, list[Float64[np.ndarray, "chain step"]]] = field(default_factory=dict)
    acceptance: list[float] = field(default_factory=list)
    about: list[Mapping[str, float]] = field(default_factory=list)

    def add(self, blocks: list[dict[str, NDArray[np.float64]]], acceptance: float, group: ChainGroup) -> None:
        """A group has walked to its end; each of ``blocks`` has shape (step, chain)."""
        self.num_groups += 1
        self.acceptance.append(acceptance)
        if self.num_groups <= _DIAGNOSED_GROUPS:
            self.about.append(group.about)
            for name in blocks[0]:
                self.series.setdefault(name, []).append(np.concatenate([block[name] for block in blocks]).T)


def _chained(engine: "Engine", payload: Part) -> Iterator[Part]:
    with torch.inference_mode(mode=False):  # what is made here is differentiated later
        warm, condition = engine.models.get(payload["model"], payload["version"]), payload.get("condition", {})
        asked = ChainQuestion(warm, warm.model(condition), warm.state(condition), payload["correction"], payload["n"])
    record, rng = _Record(), RandomStream(payload["seed"]).spawn(_CHAIN_STREAM)
    left, done = asked.num_samples, 0
    for index in range(asked.plan.groups):
        for steps, rows in _walked(asked, payload["include"], rng.spawn(index), record):
            done += steps
            if left and rows:
                yield {name: array[:left] for name, array in rows.items()}
                left -= min(left, len(rows["samples"]))
            else:
                yield {"progress": {"fraction": done / asked.plan.all_steps}}
    yield {"diagnostics": _chain_diagnostics(asked, record)}


def _walked(
    asked: ChainQuestion, include: list[str], rng: RandomStream, record: _Record
) -> Iterator[tuple[int, dict[str, NDArray[np.generic]]]]:
    """How many steps a group has made in each block, and what is kept of it; ``record`` learns of them in the end."""
    plan, group = asked.plan, GROUPS[asked.correction](asked, rng.spawn(_START))
    for begun, steps in _blocks(plan.burn_in, group.steps_of_a_block):
        group.warm_up(steps, rng.spawn(_WARM_UP).spawn(begun))
        yield steps, {}
    series, accepted = [], 0.0
    for begun, steps in _blocks(plan.steps, group.steps_of_a_block):
        block = group.walk(steps, rng.spawn(_WALK).spawn(begun))
        accepted += block.acceptance * steps / plan.steps
        if record.num_groups < _DIAGNOSED_GROUPS:
            series.append(_series(asked, block))
        yield steps, _kept(asked, include, block, slice(-(begun + 1) % plan.thin, None, plan.thin))
    record.add(series, accepted, group)


def _blocks(num_steps: int, length: int) -> Iterator[tuple[int, int]]:
    """First step and number of steps of each block."""
    return ((begun, min(length, num_steps - begun)) for begun in range(0, num_steps, length))


def _kept(asked: ChainQuestion, include: list[str], block: Block, steps: slice) -> dict[str, NDArray[np.generic]]:
    """The rows of some steps of a block, step by step; nothing where there are none."""
    x, energies = block.configurations[steps].flatten(0, 1), block.energies[steps].flatten()
    rows = {"samples": x}
    if not len(x):
        return {}
    if "log_prob" in include:
        known = block.log_probs
        rows["log_prob"] = density_of(asked.model).log_prob(x) if known is None else known[steps].flatten()
    if "energy" in include:
        rows["energy"] = energies
    return {name: array.cpu().numpy() for name, array in rows.items()}


def _series(asked: ChainQuestion, block: Block) -> dict[str, NDArray[np.float64]]:
    """What is told of the chains, of shape (step, chain) each."""
    observables = asked.state.target.observables(block.configurations.flatten(0, 1))
    found = {name: observables[name] for name in ORDER_PARAMETERS if name in observables}
    shape = block.energies.shape
    return {name: values.reshape(shape).cpu().numpy() for name, values in ({"energy": block.energies} | found).items()}


def _chain_diagnostics(asked: ChainQuestion, record: _Record) -> Part:
    """What the chains say about themselves, by name; numbers that are not known are None."""
    plan, found = asked.plan, {name: _mixing(np.concatenate(groups)) for name, groups in record.series.items()}
    taus = [mixing.tau for mixing in found.values() if mixing.tau is not None]
    worth = plan.groups * plan.chains * plan.steps / max(taus) if taus else None
    doubts = _doubts(found, worth)
    return {
        "correction": asked.correction,
        "num_samples": asked.num_samples,
        "independent": False,
        "acceptance_rate": float(np.mean(record.acceptance)),
        "autocorrelation_time": {name: mixing.tau for name, mixing in found.items()},
        "r_hat": {name: mixing.r_hat for name, mixing in found.items()},
        "effective_sample_size": None if worth is None else min(worth, float(asked.num_samples)),
        "num_chains": plan.groups * plan.chains,
        "num_steps": plan.steps,
        "burn_in": plan.burn_in,
        "thin": plan.thin,
        **{name: float(np.mean([about[name] for about in record.about])) for name in record.about[0]},
        "reliable": not doubts,
        "warnings": doubts,
    }


@dataclass(frozen=True)
class _Mixing:
    """How well chains have mixed by one observable: tau = 1 + 2 sum_t rho(t) in steps, and R-hat; None if unknown."""

    tau: float | None
    r_hat: float | None


def _doubts(found: Mapping[str, _Mixing], worth: float | None) -> list[str]:
    """Why chains that are ``worth`` so many independent samples are not to be trusted, in words."""
    advice = "ask for more samples, which lengthens them, or train the model further"
    still = ", ".join(name for name, mixing in found.items() if mixing.tau is None)
    apart = ", ".join(
        f"{name} {'infinite' if mixing.r_hat is None else format(mixing.r_hat, '.3f')}"
        for name, mixing in found.items()
        if mixing.tau is not None and not (mixing.r_hat is not None and mixing.r_hat <= MAX_R_HAT)
    )
    doubts = []
    if still:
        doubts.append(f"never changed along the chains, so that nothing is known of their mixing: {still}")
    if apart:
        doubts.append(f"R-hat is above {MAX_R_HAT}, so the chains have not mixed ({apart}); {advice}")
    if worth is not None and worth < MIN_EFFECTIVE_SAMPLES:
        few = f"the chains are worth {worth:.1f} independent samples, and below {MIN_EFFECTIVE_SAMPLES} they say little"
        doubts.append(f"{few}; {advice}")
    return doubts


def _mixing(values: Float64[np.ndarray, "chain step"]) -> _Mixing:
    """Tau as the number of steps over what they are worth; nothing is known of chains none of which has moved.

    Raises:
        NumericalError: a value that is not finite.
    """
    if not np.ptp(values, axis=1).any():
        return _Mixing(None, None)
    with np.errstate(divide="ignore", invalid="ignore"):  # halves of chains in which nothing moved
        ess, r = chain_average(values).effective_sample_size, r_hat(values)
    return _Mixing(None if ess is None else values.size / ess, r if isfinite(r) else None)


_CORRECTIONS: dict[Correction, Callable[["Engine", Part], Iterator[Part]]] = {
    "importance": _weighed,
    "metropolis": _chained,
    "latent_hmc": _chained,
}
