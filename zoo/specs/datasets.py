"""Data that comes with the installation, as a user writes it: one spec for each builtin, tagged by ``builtin``."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from zoo.specs.base import Spec
from zoo.specs.requests import Seed
from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.bars_and_stripes import BarsAndStripesSpec, Side
from zoo.specs.targets.base import TargetSeed, TargetSpec
from zoo.specs.targets.bitstrings import MAX_QUBITS, BitstringsSpec, check_depth

MAX_ROWS = 100_000_000


@dataclass(frozen=True)
class LabelledSamples:
    """Configurations of ``space``, shape (n, *event_shape), and, where data has them, one whole number for each."""

    space: SpaceSpec
    samples: NDArray[np.generic]
    labels: NDArray[np.int64] | None = None


class BuiltinSpec(Spec):
    """Data that needs no upload.  Subclasses add ``builtin`` and its options."""

    citation: ClassVar[str]

    builtin: str
    name: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    """Name of the dataset; default: that of the builtin."""

    @property
    def target(self) -> TargetSpec | None:
        """The system whose exact distribution the data was drawn from; None for data from the world."""
        return None

    @property
    @abstractmethod
    def space(self) -> SpaceSpec:
        """The space of the configurations."""

    @property
    def num_classes(self) -> int | None:
        """Number of classes of the labels, 0 .. num_classes - 1; None for data without labels."""
        return None

    def source(self) -> dict[str, Any]:
        """Where the data comes from: the options, and the target where there is one."""
        target = {} if self.target is None else {"target": self.target.model_dump(mode="json")}
        return {"kind": "builtin"} | self.model_dump(mode="json", exclude={"name"}) | target


class DigitsSpec(BuiltinSpec):
    """1797 handwritten digits, 8 x 8 pixels of 0 to 16, with their labels."""

    citation: ClassVar[str] = (
        "Alpaydin and Kaynak, Optical Recognition of Handwritten Digits (UCI, 1998), as shipped by scikit-learn"
    )

    builtin: Literal["digits"] = "digits"
    binarise: bool = True
    """Whether pixels become bits, 1 from ``threshold`` on; otherwise they stay real numbers from 0 to 16."""
    threshold: float = Field(default=8.0, gt=0, le=16)
    """Smallest pixel that becomes 1, greater than 0 and at most 16; of no effect without ``binarise``."""
    split: Literal["all", "train", "test"] = "all"
    """All pictures in the order of the file, or one part of a division into 1437 and 360 that never changes."""

    @property
    def space(self) -> SpaceSpec:
        """8 x 8 bits, or real numbers."""
        return SpaceSpec(kind="bits" if self.binarise else "reals", event_shape=(8, 8))

    @property
    def num_classes(self) -> int:
        """10."""
        return 10


class BarsAndStripesDataSpec(BuiltinSpec):
    """Independent draws of the target ``bars_and_stripes``."""

    citation: ClassVar[str] = BarsAndStripesSpec.citation

    builtin: Literal["bars_and_stripes"] = "bars_and_stripes"
    shape: tuple[Side, Side]
    """Height and width, each 1 to 32."""
    n: int = Field(strict=True, ge=1, le=MAX_ROWS)
    """Number of configurations."""
    seed: Seed = 0
    """Seed of the draws, 0 to 2^53 - 1."""

    @property
    def target(self) -> BarsAndStripesSpec:
        """The target with the same shape."""
        return BarsAndStripesSpec(shape=self.shape)

    @property
    def space(self) -> SpaceSpec:
        """That of the target."""
        return self.target.space


class BitstringsDataSpec(BuiltinSpec):
    """Independent draws of the target ``bitstrings`` at beta = 1: measurements of one random circuit."""

    citation: ClassVar[str] = BitstringsSpec.citation

    builtin: Literal["bitstrings"] = "bitstrings"
    qubits: int = Field(strict=True, ge=2, le=MAX_QUBITS)
    """Length of the chain, 2 to 20."""
    depth: int = Field(strict=True, ge=0, le=1000)
    """Cycles of the circuit; see the target."""
    circuit_seed: TargetSeed = 0
    """Seed of the rotations: the target's ``seed``."""
    n: int = Field(strict=True, ge=1, le=MAX_ROWS)
    """Number of measured strings."""
    seed: Seed = 0
    """Seed of the measurements, 0 to 2^53 - 1."""

    @model_validator(mode="after")
    def _can_be_simulated(self) -> Self:
        check_depth(self.qubits, self.depth)
        return self

    @property
    def target(self) -> BitstringsSpec:
        """The target with the same circuit."""
        return BitstringsSpec(qubits=self.qubits, depth=self.depth, seed=self.circuit_seed)

    @property
    def space(self) -> SpaceSpec:
        """That of the target."""
        return self.target.space


AnyBuiltin = Annotated[DigitsSpec | BarsAndStripesDataSpec | BitstringsDataSpec, Field(discriminator="builtin")]
