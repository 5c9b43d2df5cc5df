"""Measured strings of a random quantum circuit."""

from typing import final

import numpy as np
import torch
from jaxtyping import Float, Num, UInt8
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.core.spaces import Bits
from zoo.core.targets import HasDirectSampling, HasExactFreeEnergy, Target
from zoo.exact.random_circuit import drawn_strings, exact_reference, string_probabilities
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.base import Symmetry
from zoo.specs.targets.bitstrings import BitstringsSpec


@final
class Bitstrings(Target, HasExactFreeEnergy, HasDirectSampling):
    """E(b) = -ln p(b) in nats, p(b) the probability that the circuit's qubits are measured as b; Z = 1 at beta = 1.

    The circuit and where its seed enters are in ``BitstringsSpec``; it is simulated once, all 2^n amplitudes.

    Source: Boixo et al., Nature Physics 14, 595 (2018); Arute et al., Nature 574, 505 (2019).
    """

    def __init__(self, spec: BitstringsSpec) -> None:
        self.spec = spec
        self._space = Bits(spec.space)
        self._probabilities = string_probabilities(spec.qubits, spec.depth, spec.seed)
        self._table = torch.from_numpy(np.array(self._probabilities))  # torch wants memory that it may write to

    @property
    def space(self) -> Bits:
        """Bits of shape (qubits,)."""
        return self._space

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """None."""
        return self.spec.symmetries

    def energy(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """-ln p(b), float64, shape (batch,); +infinity for strings of probability 0."""
        return -self._probability(x).log()

    def observables(self, x: Num[Tensor, "batch *event"]) -> dict[str, Float[Tensor, " batch"]]:
        """``energy`` in nats; ``linear_cross_entropy`` 2^n p(b) - 1; ``filling``, the fraction of ones."""
        return {
            "energy": self.energy(x),
            "linear_cross_entropy": 2**self.spec.qubits * self._probability(x) - 1,
            "filling": x.to(torch.float64).mean(1),
        }

    def exact_reference(self, beta: float) -> ExactReference:
        """Exact -ln sum_b p(b)^beta: 0 at beta = 1."""
        return exact_reference(self.spec, beta)

    def draw(self, num_samples: int, beta: float, rng: RandomStream) -> UInt8[Tensor, "batch *event"]:
        """Independent strings with probability p(b)^beta / Z; at beta = 1, measurements of the circuit."""
        pairs = rng.uniforms(num_samples, 2).numpy()
        return torch.from_numpy(drawn_strings(self._probabilities, beta, pairs))

    def _probability(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        place = 2 ** torch.arange(self.spec.qubits, device=x.device)
        return self._table.to(x.device)[(x.to(torch.int64) * place).sum(1)]
