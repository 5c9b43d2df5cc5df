"""What every model spec says of itself without computing anything."""

from abc import abstractmethod
from typing import ClassVar, Literal

from zoo.specs.base import Spec
from zoo.specs.spaces import SpaceKind, SpaceSpec


class Capabilities(Spec):
    """What a family can be asked for; the conformance suite compares it with what the code does."""

    data_space: tuple[SpaceKind, ...]
    latent_space: str | None
    sampling: Literal["direct-parallel", "direct-sequential", "markov-chain", "none"]
    log_likelihood: Literal["exact", "lower-bound", "estimate", "none"]
    trains_from: Literal["data", "energy", "both"]
    conditional_completion: bool
    encode: bool


class ModelSpec(Spec):
    """A model family and its hyperparameters.  Subclasses add ``family`` and the parameters of the network."""

    description: ClassVar[str]
    citation: ClassVar[str]
    capabilities: ClassVar[Capabilities]

    family: str

    @abstractmethod
    def working_size(self, space: SpaceSpec) -> int:
        """Numbers that the model holds in memory on ``space``, whatever the batch: weights and what is made of them."""

    def unsupported_reason(self, space: SpaceSpec) -> str | None:
        """Why this model cannot live on ``space``, or None when it can."""
        accepted = self.capabilities.data_space
        if space.kind not in accepted:
            return f"family {self.family!r} models {' and '.join(accepted)}, and the target lives on {space.kind}"
        return None
