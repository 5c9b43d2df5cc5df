"""The Mueller-Brown surface."""

from typing import final

import torch
from jaxtyping import Float, Float64, Num
from torch import Tensor

from zoo.core.spaces import Reals
from zoo.core.targets import ContinuousTarget, HasExactFreeEnergy
from zoo.exact.mueller_brown import CENTERS, DIVIDING_LINE, XX, XY, YY, A, exact_reference
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.base import Symmetry
from zoo.specs.targets.mueller_brown import MuellerBrownSpec


@final
class MuellerBrown(ContinuousTarget, HasExactFreeEnergy):
    """E(x, y) = sum_k A_k exp[a_k (x - X_k)^2 + b_k (x - X_k)(y - Y_k) + c_k (y - Y_k)^2] in the published units.

    Far from the origin the fourth term overflows to +inf, where the density is 0.

    Source: Mueller and Brown, Theor. Chim. Acta 53, 75 (1979).
    """

    def __init__(self, spec: MuellerBrownSpec) -> None:
        self.spec = spec
        self._space = Reals(spec.space)
        self._amplitudes = torch.tensor(A, dtype=torch.float64)
        self._centers = torch.tensor(CENTERS, dtype=torch.float64)
        forms = [[[a, b / 2], [b / 2, c]] for a, b, c in zip(XX, XY, YY, strict=True)]
        self._forms = torch.tensor(forms, dtype=torch.float64)

    @property
    def space(self) -> Reals:
        """The plane."""
        return self._space

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """None."""
        return self.spec.symmetries

    def energy(self, x: Num[Tensor, "batch 2"]) -> Float[Tensor, " batch"]:
        """E(x, y), float64, shape (batch,)."""
        return self._terms(x)[0].sum(1)

    def force(self, x: Float[Tensor, "batch 2"]) -> Float64[Tensor, "batch 2"]:
        """-grad E = -2 sum_k E_k Q_k (x - X_k), E_k the k-th term and Q_k its quadratic form; shape of ``x``."""
        terms, slopes = self._terms(x)
        return -2 * (terms[:, :, None] * slopes).sum(1)

    def observables(self, x: Num[Tensor, "batch 2"]) -> dict[str, Float[Tensor, " batch"]]:
        """``energy`` in the published unit; ``x`` and ``y``; ``deep_basin`` 1 where y - x > 1.446, else 0.

        That line passes through the saddle point (-0.822, 0.624), and the deepest minimum lies above it.
        """
        position = x.to(torch.float64)
        deep = (position[:, 1] - position[:, 0] > DIVIDING_LINE).to(torch.float64)
        return {"energy": self.energy(x), "x": position[:, 0], "y": position[:, 1], "deep_basin": deep}

    def exact_reference(self, beta: float) -> ExactReference:
        """Quadrature; see ``zoo.exact.mueller_brown``."""
        return exact_reference(self.spec, beta)

    def _terms(self, x: Num[Tensor, "batch 2"]) -> tuple[Float64[Tensor, "batch 4"], Float64[Tensor, "batch 4 2"]]:
        """The four terms E_k, and Q_k (x - X_k)."""
        offset = x.to(torch.float64)[:, None] - self._centers.to(x.device)
        slope = (self._forms.to(x.device) @ offset[..., None])[..., 0]
        return self._amplitudes.to(x.device) * torch.exp((offset * slope).sum(2)), slope
