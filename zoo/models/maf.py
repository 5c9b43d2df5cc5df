"""Masked autoregressive flows."""

from typing import final

from zoo.core.spaces import Space
from zoo.models.masked_flow import MaskedFlow
from zoo.specs.models.maf import MafSpec


@final
class Maf(MaskedFlow):
    """x_i = exp(s(x_<i)) z_i + t(x_<i) in each layer; see ``MaskedFlow``.

    A likelihood is one pass of every network; samples, and hence what is learnt from an energy, go through all
    variables in turn.  Good for densities of data in tens of dimensions; of a lattice it knows nothing.

    Source: Papamakarios, Pavlakou, Murray, arXiv:1705.07057.
    """

    def __init__(self, spec: MafSpec, space: Space, seed: int) -> None:
        super().__init__(spec, space, seed, "data")
