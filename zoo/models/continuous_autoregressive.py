"""Masked dense layers for real variables."""

from typing import final

from zoo.core.spaces import Space
from zoo.models.masked_dense import MaskedDense
from zoo.models.real_values import MixtureValues
from zoo.specs.models.continuous_autoregressive import ContinuousAutoregressiveSpec


@final
class ContinuousAutoregressive(MaskedDense):
    """Masked dense layers for real variables, each a mixture of normal distributions; see ``MaskedDense``.

    With one component and no hidden layer's help it is every multivariate normal distribution: the means are linear in
    the earlier variables.

    Source: Uria, Murray, Larochelle, arXiv:1306.0186; masks: Germain et al., arXiv:1502.03509.
    """

    def __init__(self, spec: ContinuousAutoregressiveSpec, space: Space, seed: int) -> None:
        super().__init__(spec, space, seed, MixtureValues(spec.components, spec.scale))
