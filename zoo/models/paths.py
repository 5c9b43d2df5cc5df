"""Samples of models as differentiable functions of their weights."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from zoo.core.models import DifferentiableSampler, Reparametrised, Weighable
from zoo.core.random import RandomStream
from zoo.models.autoregressive import Autoregressive
from zoo.models.real_values import ContinuousValues
from zoo.models.symmetrized import Symmetrized

_NEGLIGIBLE = 1e-8  # of the largest entry: less than the float32 of the network resolves


def reparametrised(model: Weighable) -> Reparametrised | None:
    """The model as a differentiable map, or None where there is none: discrete variables jump."""
    if isinstance(model, Reparametrised):
        return model
    if isinstance(model, Autoregressive) and isinstance(model.network.values, ContinuousValues):
        return SequentialPath(model, model.network.values)
    if isinstance(model, Symmetrized) and (inner := reparametrised(model.inner)) is not None:
        return AveragedPath(model, inner)
    return None


def differentiable(model: Weighable) -> DifferentiableSampler | None:
    """The model as one that draws in one differentiable pass, or None where it cannot."""
    if isinstance(model, DifferentiableSampler):
        return model
    if isinstance(model, Symmetrized) and (inner := differentiable(model.inner)) is not None:
        return AveragedSampler(model, inner)
    return None


@final
class AveragedSampler(DifferentiableSampler):
    """Samples h x' under elements h that are drawn evenly and stay; x' moves with the weights."""

    def __init__(self, model: Symmetrized, inner: DifferentiableSampler) -> None:
        self._model, self._inner = model, inner

    def differentiable_sample(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """The samples of the average over images, and its ln q at them."""
        x, _ = self._inner.differentiable_sample(num_samples, rng)
        moved = self._model.elements.of(x, self._model.drawn(num_samples, rng, x.device))
        return moved, self._model.log_prob(moved)


@final
class SequentialPath(Reparametrised):
    """x_i moves so that every F_i(x_i | p_i(x_1..x_(i-1))) = u_i stays: dx = R (dp + (dp / dx) dx), R = -(dF / dp) / q.

    So dx = (1 - A)^-1 R dp with the strictly lower triangular A = R dp / dx, and the vector v = (1 - A)^-T g is the
    finite sum g + A^T g + (A^T)^2 g + ..., each term one backward pass for the whole batch.

    Source: Figurnov, Mohamed, Mnih, arXiv:1805.08498.
    """

    def __init__(self, model: Autoregressive, values: ContinuousValues) -> None:
        self._model, self._values = model, values

    def pull_back(self, x: Float[Tensor, "batch *event"], gradient: Float[Tensor, "batch *event"]) -> Float[Tensor, ""]:
        """Sum over v R p, with v and R detached; at most as many backward passes as there are sites, and one."""
        network = self._model.network
        position = x.detach().clone().requires_grad_()
        parameters = network(self._values.encode(position), network.features(self._model.conditions))
        with torch.no_grad():
            response = self._values.response(parameters, x)
        term = gradient.detach().flatten(1).double()
        total = term
        for _ in range(term.shape[1] - 1):
            weights = (response * term.unsqueeze(2)).to(parameters.dtype)
            (moved,) = torch.autograd.grad(parameters, position, weights, retain_graph=True)
            term = moved.flatten(1).double()
            total = total + term
            if bool(term.abs().max() <= _NEGLIGIBLE * total.abs().max()):
                break
        weights = (response * total.unsqueeze(2)).to(parameters.dtype)
        return torch.sum(parameters * weights)


@final
class AveragedPath(Reparametrised):
    """Samples h x' under elements h of a group, drawn from p(h | x) = q'(h^-1 x) / sum_g q'(g x): x' moves, h stays."""

    def __init__(self, model: Symmetrized, inner: Reparametrised) -> None:
        self._model, self._inner = model, inner

    def pull_back(self, x: Float[Tensor, "batch *event"], gradient: Float[Tensor, "batch *event"]) -> Float[Tensor, ""]:
        """The inner model's, averaged over h: permutations and signs are orthogonal, so gradients go back as x does."""
        model, elements = self._model, range(len(self._model.elements))
        with torch.no_grad():
            log_probs = torch.stack([model.inner.log_prob(model.elements.of(x, h)) for h in elements])
        shares = log_probs.softmax(0).view(len(elements), -1, *[1] * (x.ndim - 1))
        parts = [
            self._inner.pull_back(model.elements.of(x, h), share * model.elements.of(gradient, h))
            for h, share in zip(elements, shares, strict=True)
        ]
        return torch.stack(parts).sum()
