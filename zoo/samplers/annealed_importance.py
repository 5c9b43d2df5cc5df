"""Annealed importance sampling: Neal, Statistics and Computing 11, 125 (2001).

A run starts from an exact draw of exp(-u_0) / Z_0 and passes the states u_l = u_0 + l s(x), 0 = l_0 < .. < l_K = 1,
with s = u_1 - u_0 the slope of the path.  On its way to state k it collects

    ln w += u_{k-1}(x) - u_k(x) = -(l_k - l_{k-1}) s(x)                                                  (his eq. 4)

and is then moved by chains that leave exp(-u_k) invariant.  For any chains, however short, <w> = Z_1 / Z_0 exactly.

All states work at once, as on an assembly line: at each tick the runs at state k - 1 pass to state k and a new set of
runs enters at state 0, so one set of runs is completed in each tick, and every chain keeps its temperature and step
size.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from jaxtyping import Float64, Num
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.samplers.base import Chains, moved_to
from zoo.specs.errors import InvalidValueError

StateT = TypeVar("StateT")


@dataclass(frozen=True)
class AssemblyLine(Generic[StateT]):
    """The states of an annealing, and chains at all of them: chain k n + c is chain c of the n at state k."""

    chains: Chains[StateT]
    lambdas: Float64[Tensor, " state"]
    slope: Callable[[Num[Tensor, "chain *event"]], Float64[Tensor, " chain"]]
    """s(x) = u_1(x) - u_0(x)."""
    draw: Callable[[int, RandomStream], Num[Tensor, "run *event"]]
    """Exact draws of exp(-u_0) / Z_0."""
    sweeps: int = 1
    """Steps of the chains at each state."""


def annealed_log_weights(
    line: AssemblyLine[StateT], state: StateT, rng: RandomStream
) -> Iterator[Float64[Tensor, " run"] | None]:
    """Ln w of one set of runs after another, without end: ln <exp(ln w)> = ln Z_1 - ln Z_0.

    ``state`` are warmed-up chains: what they have learned is used, where they are is not.  The first K ticks complete
    nothing and yield None.

    Raises:
        InvalidValueError: lambdas that do not increase from 0 to 1, or do not divide the chains.
    """
    last = _num_moves(line)
    x = line.chains.configurations(state)
    log_weights = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    if len(x) % (last + 1) != 0:
        msg = f"{len(x)} chains cannot be shared out among {last + 1} states"
        raise InvalidValueError(msg)
    runs = len(x) // (last + 1)
    steps = line.lambdas.diff().to(x.device).repeat_interleave(runs)
    tick = 0
    while True:
        stream = rng.spawn(tick)
        arriving = log_weights[:-runs] - steps * line.slope(x)[:-runs]
        yield arriving[-runs:] if tick >= last else None
        log_weights = torch.cat([torch.zeros_like(arriving[:runs]), arriving])
        entering = line.draw(runs, stream.spawn(0)).to(x)
        state = moved_to(line.chains, state, torch.cat([entering, x[:-runs]]))
        for sweep in range(line.sweeps):
            state, _ = line.chains.step(state, stream.spawn(sweep + 1))
        x = line.chains.configurations(state)
        # the chains at state 0 have moved what entered, which leaves exact draws exact
        tick += 1


def _num_moves(line: AssemblyLine[StateT]) -> int:
    lambdas = line.lambdas
    if len(lambdas) < 2 or lambdas[0] != 0 or lambdas[-1] != 1 or not bool((lambdas.diff() > 0).all()):
        msg = f"lambdas {lambdas.tolist()} do not increase from 0 to 1"
        raise InvalidValueError(msg)
    return len(lambdas) - 1
