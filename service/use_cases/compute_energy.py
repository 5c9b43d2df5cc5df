"""Compute the energy of given configurations under a target, and the force where one exists."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.context import Context
from service.limits import check_samples, check_target
from service.use_cases.draw_samples import compute_seconds, parted
from service.use_cases.off_the_loop import off_the_loop
from zoo.specs.arrays import as_configurations
from zoo.specs.errors import CapabilityMissingError
from zoo.specs.targets.base import TargetSpec


@dataclass(frozen=True)
class Energies:
    """``energy`` E(x) in the target's unit, float64, shape (n,), and perhaps ``force``, in the parts they came in."""

    parted: dict[str, tuple[NDArray[np.generic], ...]]
    compute_seconds: float


async def compute_energy(
    context: Context, target: TargetSpec, samples: NDArray[np.generic], seconds: float, *, force: bool
) -> Energies:
    """E(x) of each configuration; with ``force`` also -grad E, of the shape of the samples.

    Raises:
        InvalidValueError: a wrong shape or a value outside the space, naming the first offender.
        CapabilityMissingError: a force was asked of a discrete system.
        LimitExceededError: the target or the samples are larger than this installation allows.
    """
    if force and target.space.is_discrete:
        msg = f"forces exist for continuous targets; {target.kind!r} lives on {target.space.kind}; ask without force"
        raise CapabilityMissingError(msg)
    check_target(target.space, context.settings)
    configurations = await off_the_loop(samples.nbytes, as_configurations, samples, target.space)
    check_samples(len(configurations), target.space, context.settings)
    payload = {"target": target.model_dump(mode="json"), "samples": configurations, "force": force}
    parts = [part async for part in context.engine.ask("energy", payload, seconds)]
    return Energies(parted(parts), compute_seconds(parts))
