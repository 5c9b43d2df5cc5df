"""What every model spec says of itself without computing anything."""

from abc import abstractmethod
from typing import ClassVar, Literal

from zoo.specs.base import Spec
from zoo.specs.spaces import SpaceKind, SpaceSpec

_TWO_VALUED: dict[SpaceKind, SpaceKind] = {"spins": "bits", "bits": "spins"}


class Capabilities(Spec):
    """What a family can be asked for; the conformance suite compares it with what the code does."""

    data_space: tuple[SpaceKind, ...]
    latent_space: str | None
    sampling: Literal["direct-parallel", "direct-sequential", "markov-chain", "none"]
    log_likelihood: Literal["exact", "lower-bound", "estimate", "none"]
    trains_from: Literal["data", "energy", "both"]
    weighs_paths: bool = False
    """Whether samples come by random ways whose weights are exact, where their likelihood is not known."""
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

    def nominal_nanoseconds(self, space: SpaceSpec) -> float:
        """Time of one sample with its likelihood on one core, in a large batch, in round numbers.

        It decides into which tiles a request is cut, and is the first guess of what one costs; so it is a pure function
        of the spec, and not measured.
        """
        return 20.0 * space.num_sites + 0.06 * self.working_size(space)

    @classmethod
    def served_spaces(cls) -> tuple[SpaceKind, ...]:
        """The kinds of space that the family can be asked for: its own, and spins beside bits."""
        own = cls.capabilities.data_space
        return own + tuple(other for kind, other in _TWO_VALUED.items() if kind in own and other not in own)

    def native_space(self, space: SpaceSpec) -> SpaceSpec:
        """The space the network itself works on: ``space``, or spins for bits and the other way round (s = 2 b - 1)."""
        other: SpaceKind | None = _TWO_VALUED.get(space.kind)
        if space.kind in self.capabilities.data_space or other not in self.capabilities.data_space:
            return space
        return space.model_copy(update={"kind": other})

    def unsupported_reason(self, space: SpaceSpec) -> str | None:
        """Why this model cannot live on ``space``, or None when it can."""
        if space.kind not in self.served_spaces():
            *others, last = self.served_spaces()
            accepted = f"{', '.join(others)} and {last}" if others else last
            return f"family {self.family!r} models {accepted}, and the target lives on {space.kind}"
        return None
