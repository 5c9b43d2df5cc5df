"""Inverse autoregressive flows."""

from typing import final

from zoo.core.spaces import Space
from zoo.models.masked_flow import MaskedFlow
from zoo.specs.models.iaf import IafSpec


@final
class Iaf(MaskedFlow):
    """x_i = exp(s(z_<i)) z_i + t(z_<i) in each layer; see ``MaskedFlow``.

    Samples with their likelihood are one pass of every network; the likelihood of a configuration that the model did
    not draw goes through all variables in turn.  Good for learning from an energy; of a lattice it knows nothing.

    Source: Kingma et al., arXiv:1606.04934.
    """

    def __init__(self, spec: IafSpec, space: Space, seed: int) -> None:
        super().__init__(spec, space, seed, "latent")
