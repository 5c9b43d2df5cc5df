"""Flows with stochastic blocks as a user writes them."""

from typing import ClassVar, Literal

from pydantic import Field

from zoo.specs.models.base import Capabilities
from zoo.specs.models.flow import CouplingSpec
from zoo.specs.spaces import SpaceSpec


class StochasticFlowSpec(CouplingSpec):
    """Blocks of affine couplings, each followed by some steps of a Markov chain on an energy on the way to the target.

    Block k of K moves on u_k = (1 - k/K) u_0 + (k/K) beta E, where u_0 = -ln q_0 is the base's.
    """

    description: ClassVar[str] = (
        "affine couplings and Markov chain steps in turn; samples have path weights (Jarzynski), and no likelihood"
    )
    citation: ClassVar[str] = "Wu, Koehler, Noe, arXiv:2002.06707; Jarzynski, PRL 78, 2690 (1997)"
    capabilities: ClassVar[Capabilities] = Capabilities(
        data_space=("reals", "particles"),
        latent_space="reals",
        sampling="direct-parallel",
        log_likelihood="none",
        weighs_paths=True,
        trains_from="energy",
        conditional_completion=False,
        encode=False,
    )

    family: Literal["stochastic_flow"] = "stochastic_flow"
    blocks: int = Field(default=3, ge=1, le=64)
    """Stochastic blocks, 1 to 64; as many of couplings come before, one before each."""
    couplings: int = Field(default=2, ge=0, le=128)
    """Coupling layers of each block, 0 to 128; with 0 it is annealed importance sampling."""
    step: Literal["metropolis", "langevin", "hmc"] = "metropolis"
    """``metropolis``: normal displacements, accepted with the chain's probability.  ``langevin``: along the force, with
    noise, every one kept, and weighed by the way back.  ``hmc``: trajectories of ``leapfrogs`` steps, accepted."""
    steps: int = Field(default=5, ge=1, le=1000)
    """Steps of each stochastic block."""
    step_size: float = Field(default=0.1, gt=0, le=1e6)
    """Width of a displacement, or length of a leapfrog step; of Langevin steps, sqrt(2 dt).  In the unit of the
    coordinates.  It is learnt where steps are not accepted or rejected (``langevin``)."""
    leapfrogs: int = Field(default=5, ge=1, le=100)
    """Leapfrog steps of one trajectory of ``hmc``."""

    def working_size(self, space: SpaceSpec) -> int:
        """The weights of all blocks."""
        return self.blocks * super().working_size(space)

    def network_nanoseconds(self, space: SpaceSpec) -> float:
        """The networks of all blocks, and energies or forces at every step."""
        moves = self.blocks * self.steps * (self.leapfrogs if self.step == "hmc" else 1)
        return self.blocks * super().network_nanoseconds(space) + 40.0 * moves * space.num_sites

    def unsupported_reason(self, space: SpaceSpec) -> str | None:
        """Beyond couplings: it has neither conditions nor symmetries by averaging, for which likelihoods are needed."""
        if (reason := super().unsupported_reason(space)) is not None:
            return reason
        if self.condition_on.names:
            return "family 'stochastic_flow' takes its target at any beta as it is; leave condition_on out"
        if self.symmetry != "none":
            return "family 'stochastic_flow' has no likelihood to average over images; use symmetry 'none', or odd"
        return None
