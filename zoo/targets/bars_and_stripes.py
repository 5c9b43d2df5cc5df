"""The bars-and-stripes distribution: uniform over simple pictures, impossible elsewhere."""

from math import inf
from typing import final

import torch
from jaxtyping import Bool, Float, Num, UInt8
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.core.spaces import Bits
from zoo.core.targets import HasDirectSampling, HasExactFreeEnergy, Target
from zoo.exact.bars_and_stripes import drawn_patterns, exact_reference
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.bars_and_stripes import BarsAndStripesSpec
from zoo.specs.targets.base import Symmetry


@final
class BarsAndStripes(Target, HasExactFreeEnergy, HasDirectSampling):
    """E(b) = 0 where every row, or every column, of the h x w picture is of one value; +infinity elsewhere.

    exp(-beta E) is 1 on the 2^h + 2^w - 2 patterns at every beta.

    Source: MacKay, Information Theory, Inference, and Learning Algorithms (2003), section 43.
    """

    def __init__(self, spec: BarsAndStripesSpec) -> None:
        self.spec = spec
        self._space = Bits(spec.space)

    @property
    def space(self) -> Bits:
        """Bits of shape (h, w)."""
        return self._space

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """Complement, cyclic shifts, reflections, transposition of squares."""
        return self.spec.symmetries

    def energy(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """0 for patterns, +infinity for other pictures, float64, shape (batch,)."""
        zero = torch.zeros(x.shape[0], dtype=torch.float64, device=x.device)
        return zero.masked_fill(~(_constant_along(x, 2) | _constant_along(x, 1)), inf)

    def observables(self, x: Num[Tensor, "batch *event"]) -> dict[str, Float[Tensor, " batch"]]:
        """``energy``; ``filling``, the fraction of ones; ``row_uniform``, 1 where every row is of one value."""
        return {
            "energy": self.energy(x),
            "filling": x.flatten(1).to(torch.float64).mean(1),
            "row_uniform": _constant_along(x, 2).to(torch.float64),
        }

    def exact_reference(self, beta: float) -> ExactReference:
        """Exact -ln(2^h + 2^w - 2), whatever ``beta`` is, with the entropy."""
        return exact_reference(self.spec)

    def draw(self, num_samples: int, beta: float, rng: RandomStream) -> UInt8[Tensor, "batch *event"]:
        """Independent patterns with equal probability, whatever ``beta`` is."""
        pairs = rng.uniforms(num_samples, 2).numpy()
        return torch.from_numpy(drawn_patterns(pairs, self.spec.shape))


def _constant_along(x: Num[Tensor, "batch *event"], axis: int) -> Bool[Tensor, " batch"]:
    """Whether every line of a picture along ``axis`` is of one value."""
    return (x == x.narrow(axis, 0, 1)).flatten(1).all(1)
