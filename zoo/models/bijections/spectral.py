"""Linear maps that act on every Fourier mode of a periodic lattice alone."""

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from zoo.models.bijections.base import Bijection, Mapped
from zoo.nn.conditioning import Features, Modulation


@final
class Spectral(Bijection):
    """x_k = exp(s_k) z_k for every wave vector k, with one s for all k that reflections of the axes make equal.

    From normal z with unit variance x is the field with the propagator <x_k x_-k> = exp(2 s_k), and hence any free
    field whose propagator has the reflections.  Reflections contain k -> -k, so x is real; the exchange of axes of
    equal length is not asked for.  ln |det| = sum_k s_k, the same for all z.

    Source: the free-field base of Albergo, Kanwar, Shanahan, arXiv:1904.12072, with a spectrum that is learnt.
    """

    def __init__(self, lattice: Sequence[int], *, conditional: bool = False) -> None:
        super().__init__()
        self.lattice = tuple(lattice)
        self.register_buffer("_orbits", _orbits(self.lattice), persistent=False)
        orbits = int(self._orbits.max()) + 1
        self.log_spectrum = nn.Parameter(torch.zeros(orbits))
        self.modulation = Modulation(orbits) if conditional else None

    _orbits: Tensor

    def forward_and_log_det(self, z: Float[Tensor, "batch site"], features: Features = None) -> Mapped:
        """Every mode times exp(s_k)."""
        return self._scaled(z, self._log_scales(features))

    def inverse_and_log_det(self, x: Float[Tensor, "batch site"], features: Features = None) -> Mapped:
        """Every mode times exp(-s_k)."""
        return self._scaled(x, -self._log_scales(features))

    def _log_scales(self, features: Features) -> Float[Tensor, "row site"]:
        """s_k of every wave vector, in the order of the discrete Fourier transform."""
        spectrum = self.log_spectrum[None]
        if features is not None and self.modulation is not None:
            scale, shift = self.modulation(features)
            spectrum = torch.addcmul(shift, spectrum, scale)
        return spectrum[:, self._orbits]

    def _scaled(self, z: Float[Tensor, "batch site"], log_scales: Float[Tensor, "row site"]) -> Mapped:
        axes = tuple(range(1, len(self.lattice) + 1))
        modes = torch.fft.rfftn(z.view(-1, *self.lattice), dim=axes)
        scale = log_scales.exp().view(-1, *self.lattice)[..., : self.lattice[-1] // 2 + 1]
        x = torch.fft.irfftn(modes * scale, s=self.lattice, dim=axes)
        return x.reshape(z.shape), log_scales.sum(1, dtype=torch.float64).expand(len(z))


def _orbits(lattice: Sequence[int]) -> Int[Tensor, " site"]:
    """The number of the orbit of every wave vector under the reflections of the axes, in raster order."""
    numbers: dict[tuple[int, ...], int] = {}
    orbit = torch.empty(prod(lattice), dtype=torch.int64)
    for index, k in enumerate(product(*map(range, lattice))):
        representative = tuple(min(n, side - n) for n, side in zip(k, lattice, strict=True))
        orbit[index] = numbers.setdefault(representative, len(numbers))
    return orbit
