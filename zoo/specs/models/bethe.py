"""The Bethe approximation as a user writes it."""

from typing import ClassVar, Literal

from zoo.specs.models.base import Capabilities
from zoo.specs.models.conditions import ConditionOn
from zoo.specs.models.fixed_point import FixedPointSpec
from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import MAX_BETA, MIN_BETA


class BetheSpec(FixedPointSpec):
    """Belief propagation on the graph of coupled pairs: a free energy without a distribution to sample from."""

    description: ClassVar[str] = (
        "Bethe free energy by belief propagation: exact on trees, elsewhere neither exact nor a bound; no samples"
    )
    citation: ClassVar[str] = "Bethe, Proc. R. Soc. A 150, 552 (1935); with loops: Murphy et al., arXiv:1301.6725"
    capabilities: ClassVar[Capabilities] = Capabilities(
        data_space=("spins",),
        latent_space=None,
        sampling="none",
        log_likelihood="none",
        trains_from="energy",
        conditional_completion=False,
        encode=False,
    )
    answers_at: ClassVar[ConditionOn] = ConditionOn(beta=(MIN_BETA, MAX_BETA))
    """The equations are solved anew at any beta that is asked."""

    family: Literal["bethe"] = "bethe"

    @property
    def is_solved(self) -> bool:
        """Always: there is nothing to be trained."""
        return True

    def working_size(self, space: SpaceSpec) -> int:
        """A magnetisation for each site; the messages are twice as many as the couplings that the target holds."""
        return space.num_sites
