"""Additive coupling flows."""

from typing import final

from zoo.core.spaces import Space
from zoo.models.bijections.affine import AdditiveMap
from zoo.models.bijections.site_scales import SiteScales
from zoo.models.coupling_flow import CouplingFlow
from zoo.specs.models.nice import NiceSpec


@final
class Nice(CouplingFlow):
    """x_a = z_a + t(z_b) for the two halves a and b in turn, and one learnt scale for every variable at the end.

    All couplings keep volumes; the density's shape comes from the last scales.  See ``CouplingFlow``.

    Source: Dinh, Krueger, Bengio, arXiv:1410.8516.
    """

    def __init__(self, spec: NiceSpec, space: Space, seed: int) -> None:
        super().__init__(spec, space, seed, AdditiveMap(), SiteScales(space.num_sites))
