"""MADE: masked dense layers for discrete variables."""

from typing import final

from zoo.core.spaces import Space
from zoo.models.masked_dense import MaskedDense
from zoo.models.site_network import discrete_values
from zoo.specs.models.made import MadeSpec


@final
class Made(MaskedDense):
    """Masked dense layers for spins, bits and categorical variables; see ``MaskedDense``.

    Good on any graph up to a few hundred sites; it knows nothing of a lattice, where PixelCNN needs fewer weights.

    Source: Germain et al., arXiv:1502.03509; as a variational ansatz: Wu, Wang, Zhang, PRL 122, 080602 (2019).
    """

    def __init__(self, spec: MadeSpec, space: Space, seed: int) -> None:
        super().__init__(spec, space, seed, discrete_values(spec, space))
