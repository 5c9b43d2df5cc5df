"""Chains at the states of a path: started, warmed up and drawn from, a step at a time."""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.references.path import Path
from zoo.references.plan import Part, Run, Steps, Work
from zoo.samplers.base import Chains
from zoo.specs.errors import NumericalError

StateT = TypeVar("StateT")

_LARGEST_SLOPE = 1e300  # what overflowed has weight zero, and so has this


@dataclass(frozen=True)
class Samples:
    """Slopes at each state along its chains, and the mean acceptance of each state."""

    slopes: Float64[np.ndarray, "state chain draw"]
    acceptance: tuple[float, ...]


def sampled(run: Run, path: Path, t: Float64[np.ndarray, " state"], work: Work) -> Steps[Samples]:
    """The chains of all states, warmed up and drawn from."""
    length, rows = run.plan.length, run.plan.num_rows
    chains = chains_at(run, path, t)
    state = yield from started(chains, path, run, rows, work)
    slopes, accepted, rng = [], torch.zeros(rows), run.rng.spawn(Part.DRAWS)
    for time in range(length.num_draws * length.thin):
        state, info = chains.step(state, rng.spawn(time))
        accepted += info.acceptance.cpu()
        if (time + 1) % length.thin == 0:
            slopes.append(checked_slopes(path, chains.configurations(state)).cpu().numpy())
        yield work.spent(rows, "drawing")
    rate = (accepted / (length.num_draws * length.thin)).reshape(len(t), -1).mean(1)
    return Samples(np.stack(slopes, 1).reshape(len(t), length.num_chains, -1), tuple(rate.tolist()))


def chains_at(run: Run, path: Path, t: Float64[np.ndarray, " state"]) -> Chains[Any]:
    """Chains in rows, those of the first state first."""
    lambdas = torch.from_numpy(t**path.exponent).repeat_interleave(run.plan.length.num_chains)
    return path.chains(lambdas, run.build)


def started(chains: Chains[Any], path: Path, run: Run, rows: int, work: Work) -> Steps[Any]:
    """Warmed-up chains on ``path``."""
    yield work.now("starting the chains")
    state = path.start(chains, rows, run.rng.spawn(Part.START))
    return (yield from warmed_up(chains, state, run, run.rng, work, rows))


def warmed_up(
    chains: Chains[StateT], state: StateT, run: Run, rng: RandomStream, work: Work, rows: int | None = None
) -> Steps[StateT]:
    """``state`` after the warm-up, a step at a time."""
    for time in range(run.plan.length.burn_in):
        state = chains.warm_up(state, 1, rng.spawn(Part.WARM_UP).spawn(time))
        yield work.spent(rows or run.plan.length.num_chains, "warming up")
    return state


def checked_slopes(path: Path, x: Tensor) -> Float64[Tensor, " chain"]:
    """Slopes with what overflowed made finite; NaN is refused."""
    slopes = path.slope(x)
    if bool(slopes.isnan().any()):
        msg = "the energy of a configuration is not a number; the chains left where the target is defined"
        raise NumericalError(msg)
    return slopes.clamp(-_LARGEST_SLOPE, _LARGEST_SLOPE)
