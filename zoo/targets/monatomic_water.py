"""Monatomic water (mW): the Stillinger-Weber energy with the parameters of Molinero and Moore."""

from collections.abc import Callable
from typing import NamedTuple, final

import torch
from jaxtyping import Float, Float64, Num
from torch import Tensor

from zoo.core.spaces import Particles
from zoo.core.targets import ContinuousTarget, HasExactFreeEnergy
from zoo.exact.monatomic_water import exact_reference
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.base import Symmetry
from zoo.specs.targets.monatomic_water import CUTOFF, EPSILON, SIGMA, A, B, MonatomicWaterSpec
from zoo.targets.crystals import diamond_lattice
from zoo.targets.pairs import Pairs, in_chunks, nearest_image

GAMMA, LAMBDA = 1.2, 23.15
COS_TETRAHEDRAL = -1 / 3
"""Of the angle that costs nothing.  Codes that write 109.47 degrees differ by 7e-6 in the cosine."""

_RANGE = CUTOFF / SIGMA
_CLOSEST = 1e-3  # in units of sigma: what is closer counts as this far
_FARTHEST = _RANGE * (1 - 1e-3)  # from here on exp(sigma / (r - a sigma)) is below e^-555, and its slope no longer safe


class _Neighbours(NamedTuple):
    """From each molecule i to each j, in units of sigma; not near (so far away, or i = j): a harmless distance of 1."""

    distance: Tensor  # (batch, i, j)
    direction: Tensor  # (batch, i, j, axis)
    near: Tensor  # (batch, i, j)


class _Sums(NamedTuple):
    """Over the neighbours j of molecule i: h_ij itself, T0, T1 and T2 of the class below."""

    h: Tensor  # (batch, i, j)
    t0: Tensor  # (batch, i)
    t1: Tensor  # (batch, i, axis)
    t2: Tensor  # (batch, i, axis, axis)


@final
class MonatomicWater(ContinuousTarget, HasExactFreeEnergy):
    """E = E_2 + E_3 in kcal/mol, lengths in Angstrom, nearest images in a periodic box.

    E_2 = sum_{i<j} A eps [B (sigma/r)^4 - 1] exp(sigma / (r - a sigma)),
    E_3 = lambda eps sum_i sum_{j<k} (cos theta_jik + 1/3)^2 h_ij h_ik,  h = exp(gamma sigma / (r - a sigma)),

    both over r < a sigma, distances below 0.001 sigma counting as that (a pair then has 1.5e13 kcal/mol), so that the
    energies of coincident molecules are finite; eps = 6.189 kcal/mol, sigma = 2.3925 Angstrom, a = 1.8, lambda = 23.15,
    gamma = 1.2.

    The sum over pairs of neighbours needs no list of triplets.  With unit vectors u_j from i to j, cos theta is
    u_j.u_k, and with T0 = sum_j h_j, T1 = sum_j h_j u_j, T2 = sum_j h_j u_j u_j^T,

        sum_{j,k} h_j h_k (u_j.u_k + 1/3)^2 = |T2|^2 + 2/3 |T1|^2 + T0^2 / 9,

    since sum_{jk} h_j h_k (u_j.u_k)^2 is the squared Frobenius norm of T2, and sum_{jk} h_j h_k u_j.u_k that of T1.
    The terms j = k are h_j^2 (1 + 1/3)^2, so that the sum over j < k is half of what is left of this after subtracting
    16/9 sum_j h_j^2: O(n^2) numbers and operations for each configuration.

    Source: Molinero and Moore, J. Phys. Chem. B 113, 4008 (2009), eqs. 1 to 3 and table 1; Stillinger and Weber, Phys.
    Rev. B 31, 5262 (1985).
    """

    def __init__(self, spec: MonatomicWaterSpec) -> None:
        self.spec = spec
        self._space = Particles(spec.space)
        self._pairs = Pairs(spec.n, spec.sides)
        self._box = torch.tensor(spec.sides, dtype=torch.float64)

    @property
    def space(self) -> Particles:
        """Labelled molecules in a periodic box."""
        return self._space

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Exchange, translation, inversion."""
        return self.spec.symmetries

    def energy(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """E(x) in kcal/mol, float64, shape (batch,)."""
        return self._in_chunks(self._energy, x)

    def force(self, x: Float[Tensor, "batch *event"]) -> Float64[Tensor, "batch *event"]:
        """-grad E in kcal/mol/Angstrom, in closed form; its sum over molecules is 0."""
        return self._in_chunks(self._force, x)

    def observables(self, x: Num[Tensor, "batch *event"]) -> dict[str, Float[Tensor, " batch"]]:
        """Energies per molecule in kcal/mol, distances in Angstrom.

        ``energy_per_particle``, and its part ``three_body_energy_per_particle``, 0 in perfect ice; ``neighbours``, the
        mean number of molecules within 1.8 sigma; ``mean_`` and ``smallest_pair_distance``.
        """
        position = x.to(torch.float64)
        distances = self._pairs.distances(position)
        three_body = self._in_chunks(lambda part: _three_body_energy(self._neighbours(part)), position)
        return {
            "energy_per_particle": self.energy(position) / self.spec.n,
            "three_body_energy_per_particle": three_body / self.spec.n,
            "neighbours": 2 * (distances < CUTOFF).sum(1, dtype=torch.float64) / self.spec.n,
            **self._pairs.observables(position),
        }

    def exact_reference(self, beta: float) -> ExactReference:
        """Exact -ln Z of two molecules."""
        return exact_reference(self.spec, beta)

    def lattice(self) -> Float64[Tensor, "particle axis"]:
        """The sites of cubic ice in a cubic box of n = 8 m^3 molecules; see ``diamond_lattice`` for what it raises."""
        return diamond_lattice(self.spec.n, self.spec.sides)

    def _in_chunks(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        return in_chunks(function, x.to(torch.float64), self.spec.n**2)

    def _neighbours(self, x: Tensor) -> _Neighbours:
        separation = nearest_image(x[:, None] - x[:, :, None], self._box) / SIGMA
        squared = (separation * separation).sum(3)
        near = (squared < _FARTHEST**2) & ~torch.eye(x.shape[1], dtype=torch.bool, device=x.device)
        distance = torch.where(near, squared.clamp_min(_CLOSEST**2), 1.0).sqrt()
        return _Neighbours(distance, separation / distance[..., None], near)

    def _energy(self, x: Tensor) -> Tensor:
        neighbours = self._neighbours(x)
        return _pair_energy(neighbours)[0].sum((1, 2)) / 2 + _three_body_energy(neighbours)

    def _force(self, x: Tensor) -> Tensor:
        """With s_ij = (x_j - x_i) / sigma, F_k = (sum_j dE/ds_kj - sum_i dE/ds_ik) / sigma."""
        neighbours = self._neighbours(x)
        gradient = _pair_energy(neighbours)[1][..., None] * neighbours.direction / 2 + _three_body_gradient(neighbours)
        return (gradient.sum(2) - gradient.sum(1)) / SIGMA


def _pair_energy(neighbours: _Neighbours) -> tuple[Tensor, Tensor]:
    """v(r) = A eps (B / r^4 - 1) exp(1 / (r - a)) and v'(r), r in units of sigma, shape (batch, i, j)."""
    r, inside = neighbours.distance, neighbours.distance - _RANGE
    scale = torch.where(neighbours.near, A * EPSILON * torch.exp(1 / inside), 0.0)
    shape = B * r**-4 - 1
    return scale * shape, scale * (-4 * B * r**-5 - shape / inside**2)


def _sums(neighbours: _Neighbours) -> _Sums:
    h = torch.where(neighbours.near, torch.exp(GAMMA / (neighbours.distance - _RANGE)), 0.0)
    weighted = h[..., None] * neighbours.direction
    return _Sums(h, h.sum(2), weighted.sum(2), weighted.transpose(2, 3) @ neighbours.direction)


def _three_body_energy(neighbours: _Neighbours) -> Tensor:
    """E_3, shape (batch,)."""
    h, t0, t1, t2 = _sums(neighbours)
    squares = t2.square().sum((2, 3)) + 2 / 3 * t1.square().sum(2) + t0.square() / 9
    return LAMBDA * EPSILON / 2 * (squares - 16 / 9 * h.square().sum(2)).sum(1)


def _three_body_gradient(neighbours: _Neighbours) -> Tensor:
    """dE_3 / ds_ij, shape (batch, i, j, axis), from the derivatives by h_ij and by u_ij, whose length stays 1."""
    r, u, _ = neighbours
    h, t0, t1, t2 = _sums(neighbours)
    turned = u @ t2  # T2 u, T2 being symmetric
    by_h = 2 * (turned * u).sum(3) + 4 / 3 * (u @ t1[..., None])[..., 0] + 2 / 9 * t0[..., None] - 32 / 9 * h
    by_u = h[..., None] * (4 * turned + 4 / 3 * t1[:, :, None])
    across = by_u - (by_u * u).sum(3, keepdim=True) * u
    slope = -GAMMA * h / (r - _RANGE) ** 2
    return LAMBDA * EPSILON / 2 * ((by_h * slope)[..., None] * u + across / r[..., None])
