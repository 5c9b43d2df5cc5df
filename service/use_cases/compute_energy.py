"""Compute the energy of given configurations under a target."""

import numpy as np
from numpy.typing import NDArray

from service.context import Context
from service.limits import check_samples, check_target
from zoo.specs.arrays import as_configurations
from zoo.specs.targets.base import TargetSpec


async def compute_energy(
    context: Context, target: TargetSpec, samples: NDArray[np.generic], seconds: float
) -> NDArray[np.generic]:
    """E(x) in the target's unit, float64, shape (n,).

    Raises:
        InvalidValueError: a wrong shape or a value outside the space, naming the first offender.
        LimitExceededError: the target or the samples are larger than this installation allows.
    """
    check_target(target.space, context.settings)
    configurations = as_configurations(samples, target.space)
    check_samples(len(configurations), target.space, context.settings)
    payload = {"target": target.model_dump(mode="json"), "samples": configurations}
    (part,) = [part async for part in context.engine.ask("energy", payload, seconds)]
    energy: NDArray[np.generic] = part["energy"]
    return energy
