"""One real variable of a sequential model: a mixture of normal distributions, and how its quantiles move with it."""

from abc import abstractmethod
from math import log, pi
from typing import NamedTuple, final

import torch
from jaxtyping import Float, Float64, Num
from torch import Tensor
from torch.special import ndtr, ndtri

from zoo.core.random import RandomStream
from zoo.models.site_values import Draws, Known, SiteValues

NARROWEST, WIDEST = -8.0, 4.0
"""Bounds of ln s of a component, s in units of ``scale``: 3e-4 to 55, so that no step makes a model blow up."""

_UNIFORM_BITS = 24  # of a float32 uniform


class ContinuousValues(SiteValues):
    """Variables with a density, whose quantiles move smoothly with the parameters."""

    @abstractmethod
    def response(
        self, parameters: Float[Tensor, "batch site parameter"], x: Num[Tensor, "batch *event"]
    ) -> Float64[Tensor, "batch site parameter"]:
        """dx_i / dp_ij at a fixed quantile: -(dF / dp_ij) / q(x_i | p_i), with F the cumulative distribution.

        In the unit of x for each unit of the parameter; ``x`` are draws, so that q does not vanish.
        """


class _Mixture(NamedTuple):
    """ln w_k, m_k, ln s_k and d(ln s_k) / d(parameter), float64, components on the last axis."""

    log_weights: Tensor
    means: Tensor
    log_scales: Tensor
    slopes: Tensor


@final
class MixtureValues(ContinuousValues):
    """q(x) = 1/a sum_k w_k N(y; m_k, s_k) with y = x / a and a = ``scale``: one channel y.

    The parameters are K logits of w (none where K = 1), K means and K log-scales: m_k = c_k + p, where the c_k are
    spread evenly over [-1, 1] so that components differ from the start, and ln s_k = b tanh(p / b) with b = 4 for
    p > 0, else 8.

    Source: Uria, Murray, Larochelle, arXiv:1306.0186.
    """

    num_channels = 1

    def __init__(self, components: int, scale: float) -> None:
        self.components = components
        self.scale = scale
        self.num_parameters = 2 if components == 1 else 3 * components

    def encode(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, "batch site 1"]:
        """The values in units of ``scale``."""
        return (x.flatten(1).float() / self.scale).unsqueeze(2)

    def log_prob(
        self, parameters: Float[Tensor, "batch site parameter"], x: Num[Tensor, "batch *event"]
    ) -> Float[Tensor, "batch site"]:
        """Ln q(x_i | parameters_i) for each site, differentiable in ``x`` too."""
        return torch.logsumexp(self._log_parts(self._mixture(parameters), x)[0], 2) - log(self.scale)

    def response(
        self, parameters: Float[Tensor, "batch site parameter"], x: Num[Tensor, "batch *event"]
    ) -> Float64[Tensor, "batch site parameter"]:
        """The change of x_i with each logit, mean and log-scale at a fixed quantile.

        dx / dlogit_k = -a w_k (F_k - F) / q(y), dx / dm_k = a r_k and dx / d(ln s_k) = a r_k z_k s_k, with
        z_k = (y - m_k) / s_k and r_k = w_k N(y; m_k, s_k) / q(y), the share of a component.  The first is large where y
        lies in a gap between components: a change of their weights moves mass through it.

        Source: Figurnov, Mohamed, Mnih, arXiv:1805.08498, eq. 5.
        """
        mixture = self._mixture(parameters)
        log_parts, z = self._log_parts(mixture, x)
        log_density = torch.logsumexp(log_parts, 2, keepdim=True)
        share = self.scale * (log_parts - log_density).exp()
        moved = [share, share * z * mixture.log_scales.exp() * mixture.slopes]
        if self.components > 1:
            below, above = _relative_to_mean(z, mixture.log_weights.exp())
            moved.insert(0, -self.scale * (mixture.log_weights - log_density).exp() * torch.where(z < 0, below, -above))
        return torch.cat(moved, 2)

    def draws(
        self, num_samples: int, num_sites: int, rng: RandomStream, like: Tensor, known: Known | None = None
    ) -> Draws:
        """X_i = a (m_k + s_k z), with z from two uniforms of 24 bits, which reach |z| = 7.9, and k from a third."""
        first, second, third = rng.uniforms(num_samples, 3 * num_sites, like.device).double().t().chunk(3)
        resolution = 2.0**-_UNIFORM_BITS
        normals = ndtri(first + (second + resolution / 2) * resolution)
        return _MixtureDraws(self, normals.contiguous(), third.clamp_min(resolution / 2).contiguous(), known)

    def drawn(
        self, parameters: Float[Tensor, "batch parameter"], normal: Float64[Tensor, " batch"], level: Tensor
    ) -> Float[Tensor, " batch"]:
        """The value of the component at ``level`` of the weights' running sum, ``normal`` deviations from its mean."""
        mixture = self._mixture(parameters)
        running = mixture.log_weights.exp().cumsum(1)
        chosen = (running <= level[:, None]).sum(1, keepdim=True).clamp_max_(self.components - 1)
        mean, log_scale = (part.gather(1, chosen)[:, 0] for part in (mixture.means, mixture.log_scales))
        return (self.scale * (mean + log_scale.exp() * normal)).float()

    def _mixture(self, parameters: Float[Tensor, "... parameter"]) -> _Mixture:
        parts = parameters.double().chunk(self.num_parameters // self.components, -1)
        means, raw = parts[-2], parts[-1]
        log_weights = parts[0].log_softmax(-1) if self.components > 1 else torch.zeros_like(means)
        start = torch.linspace(-1, 1, self.components, dtype=torch.float64, device=means.device)
        bound = torch.where(raw > 0, WIDEST, -NARROWEST).to(raw.dtype)
        bounded = torch.tanh(raw / bound)
        return _Mixture(
            log_weights,
            means + start if self.components > 1 else means,
            bound * bounded,
            1 - bounded.square(),
        )

    def _log_parts(self, mixture: _Mixture, x: Num[Tensor, "batch *event"]) -> tuple[Tensor, Tensor]:
        """Ln w_k N(y; m_k, s_k) and z_k, shape (batch, site, component)."""
        y = (x.flatten(1).double() / self.scale).unsqueeze(2)
        z = (y - mixture.means) * (-mixture.log_scales).exp()
        return mixture.log_weights - mixture.log_scales - (z.square() + log(2 * pi)) / 2, z


def _relative_to_mean(z: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """F_k - sum_l w_l F_l, and the same of 1 - F_k: what is small in either tail is exact there."""
    below, above = ndtr(z), ndtr(-z)
    return (
        below - (weights * below).sum(2, keepdim=True),
        above - (weights * above).sum(2, keepdim=True),
    )


@final
class _MixtureDraws(Draws):
    def __init__(
        self,
        values: MixtureValues,
        normals: Float64[Tensor, "site batch"],
        levels: Float64[Tensor, "site batch"],
        known: Known | None,
    ) -> None:
        self._values, self._normals, self._levels = values, normals, levels
        self._drawn = torch.zeros(normals.shape, device=normals.device)
        self._known = None if known is None else (known.values.t().float(), known.mask.t())

    def draw(self, site: int, parameters: Float[Tensor, "parameter batch"], channels: Float[Tensor, "1 batch"]) -> None:
        value = self._values.drawn(parameters.t(), self._normals[site], self._levels[site])
        if self._known is not None:
            values, mask = self._known
            value = torch.where(mask[site], values[site], value)
        self._drawn[site] = value
        torch.div(value, self._values.scale, out=channels[0])

    def numbers(self) -> tuple[Tensor, ...]:
        return self._normals, self._levels

    def configurations(self) -> Num[Tensor, "batch site"]:
        return self._drawn.t().contiguous()
