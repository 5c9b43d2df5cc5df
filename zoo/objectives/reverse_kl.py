"""The reverse Kullback-Leibler divergence: the variational free energy."""

from collections.abc import Callable, Mapping
from typing import final

from jaxtyping import Float, Num
from torch import Tensor

from zoo.core.models import Model, Weighable, density_of
from zoo.core.random import RandomStream
from zoo.core.symmetries import Images
from zoo.models.paths import differentiable
from zoo.objectives.base import Batch, HasAlternatives, Loss, Objective
from zoo.objectives.measure_valued import measure_valued_mean
from zoo.objectives.path_wise import path_wise_mean
from zoo.objectives.reparametrised import reparametrised_mean
from zoo.objectives.sampled import Penalty, Sampled, drawn, energy_parts, relative_log_weights
from zoo.objectives.score_function import control_variate_mean, score_function_mean
from zoo.specs.errors import InvalidValueError
from zoo.specs.objectives import ReverseKlSpec

THROUGH_SAMPLES = ("reparametrised", "path_wise")
"""Gradients that move samples, the default first."""

_IMAGE_STREAM = 2**21  # index of the stream from which images are drawn


@final
class ReverseKl(Objective, HasAlternatives):
    """<f>_q with f = beta E(x) + ln q(x): KL(q || p) - ln Z, hence an upper bound on beta_f = -ln Z.

    The gradient is that of the score function with a baseline, or goes through the samples (``path_wise``); either
    vanishes sample by sample where q = p.  ``reparametrised`` is the whole derivative through the samples.

    Where the target has a symmetry g that the model has not, the penalty <ln q(x) - ln q(g x)>_q = KL(q || g q) >= 0 is
    added, which is zero only where q has it too: without it a mode whose images are far away can be lost, and nothing
    in f shows it.

    Source: Wu, Wang, Zhang, PRL 122, 080602 (2019), eq. 3.
    """

    def __init__(self, spec: ReverseKlSpec) -> None:
        self.spec = spec

    def __call__(self, model: Weighable, batch: Batch, rng: RandomStream) -> Loss:
        """The loss on ``batch.num_samples`` >= 2 samples for each of ``batch.states``.

        ``parts``: ``variational_beta_f`` = <f>, its ``standard_error``, ``reduced_energy`` = <beta E>, ``log_prob`` =
        <ln q>, and ``symmetry_penalty`` where there is one; dimensionless, averages over all states, detached.
        """
        if batch.states is None:
            msg = "objective 'reverse_kl' averages an energy, and there is no target"
            raise InvalidValueError(msg)
        gradient = self._gradient(model)
        x, log_prob, path = drawn(model, batch.num_samples, rng, moving=gradient in THROUGH_SAMPLES)
        reduced_energy = batch.states.reduced_energy(x)
        f = reduced_energy + log_prob.detach()
        parts = energy_parts(f, reduced_energy, log_prob.detach(), batch.states)
        shift: Tensor | float = 0.0
        penalty = self._penalty(batch, rng) if isinstance(model, Model) else None
        if penalty is not None:
            density = density_of(model)
            fixed = log_prob if path is None else density.log_prob(x)
            asymmetry = fixed - density.log_prob(penalty.image(x))
            parts["symmetry_penalty"] = asymmetry.detach().mean()
            f = f + penalty.weight * asymmetry.detach()
            if gradient != "reparametrised":
                # <grad ln q(x)> is zero: with it the two cancel sample by sample where q has the symmetry
                shift = penalty.weight * (asymmetry.mean() - asymmetry.detach().mean())
        sampled = Sampled(model, batch.states, x, f, log_prob, penalty, path)
        value = _GRADIENTS[gradient](sampled, self.spec)
        return Loss(
            value + shift, relative_log_weights(-reduced_energy - log_prob.detach(), batch.states.groups), parts
        )

    def alternatives(self, model: Weighable) -> Mapping[str, Objective]:
        """Both gradients through samples, where none is asked for and the model draws in one differentiable pass."""
        if self.spec.gradient != "auto" or differentiable(model) is None or not isinstance(model, Model):
            return {}
        return {name: ReverseKl(self.spec.model_copy(update={"gradient": name})) for name in THROUGH_SAMPLES}

    def _gradient(self, model: Weighable) -> str:
        """The gradient that is taken: the one asked for, or the one that suits the model."""
        if self.spec.gradient != "auto":
            return self.spec.gradient
        return "score_function" if differentiable(model) is None else "reparametrised"

    def _penalty(self, batch: Batch, rng: RandomStream) -> Penalty | None:
        """The penalty for the symmetries that the target has and the model has not, or None."""
        weight = 1.0 if self.spec.symmetry_penalty is None else self.spec.symmetry_penalty
        images = batch.images
        return None if images is None or weight == 0 else Penalty(weight, lambda x: _images(x, images, rng))


def _score_function(sampled: Sampled, spec: ReverseKlSpec) -> Float[Tensor, ""]:
    if spec.baseline == "control_variate":
        return control_variate_mean(sampled.f, sampled.model, sampled.x, sampled.states.groups)
    return score_function_mean(sampled.f, sampled.log_prob, sampled.states.groups, spec.baseline)


_GRADIENTS: dict[str, Callable[[Sampled, ReverseKlSpec], Tensor]] = {
    "score_function": _score_function,
    "measure_valued": lambda sampled, _: measure_valued_mean(sampled),
    "reparametrised": lambda sampled, _: reparametrised_mean(sampled),
    "path_wise": lambda sampled, _: path_wise_mean(sampled),
}


def _images(x: Num[Tensor, "batch *event"], images: Images, rng: RandomStream) -> Num[Tensor, "batch *event"]:
    """Each row under an element drawn evenly from those that are not the identity."""
    others = len(images) - 1
    uniforms = rng.spawn(_IMAGE_STREAM).uniforms(len(x), 1, x.device)[:, 0].double()
    return images.of(x, 1 + (uniforms * others).long())
