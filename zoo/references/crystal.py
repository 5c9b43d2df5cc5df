"""The path from an Einstein crystal to a solid in a periodic box, the centre of mass held.

Frenkel and Ladd, J. Chem. Phys. 81, 3188 (1984); for the centre of mass Polson, Trizac, Pronk, Frenkel, J. Chem. Phys.
112, 5339 (2000).  With sites X_i and displacements u_i = x_i - X_i, sum_i u_i = 0, of one labelling of the sites,

    u_0 = sum_i |u_i|^2 / (2 v),      u_1 = beta E(X + u),

is a Gaussian path on (n - 1) d dimensions: the springs hold displacements to a centre that does not move, so nothing
drifts through the box as they vanish.  What it gives is Z_fixed, and ``crystal_log_z`` has the way from there to all n!
labellings and a free centre of mass,

    Z = (n! / m) n^(d/2) V Z_fixed,

m being the number of translations that take the sites to themselves.  Z then counts the crystal alone: no defects, no
other phase, no other orientation.  Where the solid melts in the pilot run there is no such path.
"""

from typing import Any, final

import torch
from jaxtyping import Float, Float64, Num
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.core.spaces import Particles
from zoo.core.targets import ContinuousTarget
from zoo.exact.einstein_crystal import crystal_log_z
from zoo.references.gaussian import Gaussian, GaussianPath
from zoo.references.path import BuildChains, Path
from zoo.samplers.base import Chains
from zoo.samplers.starts import perfect_crystal
from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import Symmetry

MELTED = 0.15
"""Root mean square displacement, in distances of nearest neighbours, beyond which a crystal has melted (Lindemann)."""

_SAME_SITE = 1e-6  # of a side of the box


@final
class Displacements(ContinuousTarget):
    """The energy E(X + u) of displacements u from the ``sites`` X of a crystal, their centre of mass at rest."""

    def __init__(self, target: ContinuousTarget, sites: Float64[Tensor, "particle axis"]) -> None:
        self._target = target
        self.sites = sites
        self._space = Particles(SpaceSpec(kind="particles", event_shape=tuple(sites.shape), centered=True))

    @property
    def space(self) -> Particles:
        """Displacements whose sum is 0."""
        return self._space

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """None that is known of."""
        return frozenset()

    def energy(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """E(X + u)."""
        return self._target.energy(self.positions(x))

    def force(self, x: Float[Tensor, "batch *event"]) -> Float64[Tensor, "batch *event"]:
        """-grad E at X + u."""
        return self._target.force(self.positions(x))

    def observables(self, x: Num[Tensor, "batch *event"]) -> dict[str, Float[Tensor, " batch"]]:
        """Those of the crystal."""
        return self._target.observables(self.positions(x))

    @property
    def box(self) -> tuple[float, ...]:
        """Sides of the box that holds the crystal."""
        return self._target.space.spec.box or ()

    def positions(self, u: Num[Tensor, "batch *event"]) -> Float64[Tensor, "batch *event"]:
        """X + u inside the box."""
        return self._target.space.canonical(self.sites.to(u.device) + u.to(torch.float64))


@final
class CrystalPath(Path):
    """From springs of variance v to the crystal of ``target`` at ``beta``, in displacements from its sites."""

    def __init__(self, target: ContinuousTarget, beta: float, crystal: Displacements, springs: Gaussian) -> None:
        super().__init__(target, beta, exponent=2)  # springs keep cores apart, at distances of a wide distribution
        self._path = GaussianPath(crystal, beta, springs)
        n, _ = target.space.event_shape
        atoms_in_cell = n // num_translations(crystal.sites, crystal.box)
        self._log_copies = crystal_log_z(0.0, n, crystal.box, atoms_in_cell)

    @property
    def description(self) -> str:
        """The crystal in words."""
        return f"an Einstein crystal with a fixed centre of mass, {self._path.description}; then all its labellings"

    @property
    def log_z0(self) -> float:
        """That of the springs and of all copies: positions of the centre, and labellings."""
        return self._path.log_z0 + self._log_copies

    def slope(self, x: Num[Tensor, "chain *event"]) -> Float64[Tensor, " chain"]:
        """Beta E(X + u) - u_0(u) of displacements."""
        return self._path.slope(x)

    def draw(self, num_samples: int, rng: RandomStream) -> Num[Tensor, "sample *event"]:
        """Displacements of the Einstein crystal."""
        return self._path.draw(num_samples, rng)

    def chains(self, lambdas: Float64[Tensor, " chain"], build: BuildChains) -> Chains[Any]:
        """Chains of displacements."""
        return self._path.chains(lambdas, build)

    def start(self, chains: Chains[Any], num_chains: int, rng: RandomStream) -> Any:  # noqa: ANN401 - their own state
        """In the Einstein crystal: elsewhere is no crystal."""
        return chains.state_at(self.draw(num_chains, rng))


def crystal_of(target: ContinuousTarget) -> Displacements | None:
    """The displacements from the perfect crystal of ``target``, where its box holds one."""
    sites = perfect_crystal(target)
    return None if sites is None else Displacements(target, sites)


def has_melted(crystal: Displacements, u: Float64[Tensor, "sample *event"]) -> bool:
    """Whether displacements ``u`` are larger than those of a crystal, by Lindemann's rule."""
    sites, box = crystal.sites, torch.tensor(crystal.box, dtype=torch.float64)
    separation = sites[:, None] - sites
    separation = separation - box * (separation / box).round()
    distance = separation.norm(dim=-1) + torch.eye(len(sites)) * float(box.sum())
    return float(u.square().sum(-1).mean().sqrt()) > MELTED * float(distance.min())


def num_translations(sites: Float64[Tensor, "particle axis"], box: tuple[float, ...]) -> int:
    """How many translations, modulo the box, take the set of ``sites`` to itself: one of those to the other sites."""
    sides = torch.tensor(box, dtype=sites.dtype)
    shifts = sites - sites[0]
    count = 0
    for shift in shifts:
        fraction = ((sites + shift)[:, None] - sites) / sides
        off = (fraction - fraction.round()).abs().amax(-1).amin(1)
        count += bool((off < _SAME_SITE).all())
    return count
