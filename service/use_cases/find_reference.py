"""Find the exact free energy of a target."""

from service.context import Context
from service.limits import check_target
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.base import TargetSpec


async def find_reference(context: Context, target: TargetSpec, seconds: float) -> ExactReference:
    """Exact beta_f with its method and citation.

    Raises:
        NoExactReferenceError: none is known for these parameters.
        LimitExceededError: the target is larger than this installation allows.
    """
    check_target(target.space, context.settings)
    (part,) = [
        part async for part in context.engine.ask("reference", {"target": target.model_dump(mode="json")}, seconds)
    ]
    return ExactReference.model_validate({k: v for k, v in part.items() if k != "compute_seconds"})
