"""The whole gradient of an average over a model's own samples, which are a differentiable function of its weights."""

import torch
from jaxtyping import Float
from torch import Tensor

from zoo.core.models import density_of
from zoo.objectives.sampled import Sampled
from zoo.specs.errors import CapabilityMissingError


def reparametrised_mean(sampled: Sampled) -> Float[Tensor, ""]:
    """Mean f, whose gradient is that of < beta E(T(u)) + ln q(T(u)) > in the weights at fixed random numbers u.

    The energy's part is -force times the movement of the sample; that of ln q and of a penalty comes from the same pass
    that made the samples.  Beside the path-wise gradient it has the derivative of ln q at fixed samples, whose average
    is zero and whose noise is not, also where q = p.

    Source: Kingma, Welling, arXiv:1312.6114; Rezende, Mohamed, Wierstra, arXiv:1401.4082.

    Raises:
        CapabilityMissingError: a model that does not draw in one differentiable pass, or a target without forces.
    """
    if sampled.path is None:
        kind = sampled.model.space.spec.kind
        msg = (
            f"gradient 'reparametrised' was asked of a model of {kind} whose samples are not made in one "
            "differentiable pass, as those of flows are; use 'path_wise' for continuous autoregressive models, else "
            "'score_function'"
        )
        raise CapabilityMissingError(msg)
    force = sampled.states.reduced_force(sampled.x)
    moved = (sampled.path * -force).flatten(1).sum(1) + sampled.log_prob
    if sampled.penalty is not None:
        image = density_of(sampled.model).log_prob(sampled.penalty.image(sampled.path))
        moved = moved + sampled.penalty.weight * (sampled.log_prob - image)
    surrogate = torch.mean(moved)
    return sampled.f.mean() + surrogate - surrogate.detach()
