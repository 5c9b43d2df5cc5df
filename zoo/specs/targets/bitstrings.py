"""Measured bits of a random quantum circuit as a user writes them."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import Symmetry, TargetSeed, TargetSpec

MAX_QUBITS = 20
MAX_AMPLITUDE_UPDATES = 2**25
"""Largest 2^qubits (depth + 1): seconds of simulation."""


class BitstringsSpec(TargetSpec):
    """Strings of bits measured at the end of a random quantum circuit on a chain of qubits; bit i is that of qubit i.

    The circuit begins in |0...0>.  Each of its ``depth`` cycles rotates every qubit by its own Haar-random element of
    SU(2) and then applies controlled-Z, |ab> -> (-1)^(ab) |ab>, to the pairs (i, i + 1) with i = 0, 2, 4, .. in the
    first, third, .. cycle and i = 1, 3, .. in the others.  A last layer of rotations precedes the measurement.  Depth 0
    is a product state; from a depth of a few times the number of qubits on, the probabilities are Porter-Thomas.

    ``seed`` is where all rotations come from: numpy ``default_rng(seed).standard_normal((depth + 1, qubits, 4))``,
    entry (t, i) = (x0, x1, x2, x3) / |x| giving a = x0 + i x1, b = x2 + i x3 and U = [[a, -b*], [b, a*]].
    """

    formula: ClassVar[str] = "E(b) = -ln p(b), p(b) = |<b| U_circuit |0...0>|^2, bit i is that of qubit i"
    units: ClassVar[str] = "E in nats; Z = 1 at beta = 1"
    citation: ClassVar[str] = "Boixo et al., Nature Physics 14, 595 (2018); Arute et al., Nature 574, 505 (2019)"
    references: ClassVar[tuple[str, ...]] = ("exact state vector: all probabilities, at any beta",)

    kind: Literal["bitstrings"] = "bitstrings"
    qubits: int = Field(strict=True, ge=2, le=MAX_QUBITS)
    """Length of the chain, 2 to 20."""
    depth: int = Field(strict=True, ge=0, le=1000)
    """Cycles of rotations and entanglers, 0 to 1000, with 2^qubits (depth + 1) at most 2^25."""
    seed: TargetSeed = 0
    """Seed of the rotations, 0 to 2^53 - 1."""

    @model_validator(mode="after")
    def _can_be_simulated(self) -> Self:
        check_depth(self.qubits, self.depth)
        return self

    @property
    def space(self) -> SpaceSpec:
        """One bit for each qubit."""
        return SpaceSpec(kind="bits", event_shape=(self.qubits,))

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """None: the circuit is random."""
        return frozenset()


def check_depth(qubits: int, depth: int) -> None:
    """Nothing, when a circuit can be simulated in seconds.

    Raises:
        ValueError: 2^qubits (depth + 1) is above 2^25.
    """
    largest = MAX_AMPLITUDE_UPDATES // 2**qubits - 1
    if depth > largest:
        msg = f"depth is at most {largest} with {qubits} qubits, so that seconds suffice; {depth} came"
        raise ValueError(msg)
