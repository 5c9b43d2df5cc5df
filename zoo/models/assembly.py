"""From a network to the model that a spec describes: its conditions, its symmetries, its values."""

from collections.abc import Callable
from functools import reduce
from typing import final

from jaxtyping import Float
from torch import Tensor

from zoo.core.models import ConditionalModel, Model
from zoo.core.spaces import Space
from zoo.core.symmetries import images
from zoo.models.autoregressive import Autoregressive, ConditionalAutoregressive
from zoo.models.discrete_flow import ConditionalDiscreteFlow, DiscreteFlow, DiscreteFlowModel
from zoo.models.flow import ConditionalFlow, Flow, FlowNetwork
from zoo.models.independent_sites import ConditionalProductModel, IndependentNetwork, ProductModel
from zoo.models.site_network import SiteNetwork
from zoo.models.symmetrized import symmetrized
from zoo.models.two_valued import TwoValued
from zoo.specs.models.distribution import DistributionSpec

Network = SiteNetwork | FlowNetwork | DiscreteFlow
Layer = Callable[[Model], Model]


def assembled(network: Network, spec: DistributionSpec, space: Space) -> Model | ConditionalModel:
    """The model of ``spec`` on ``space``: q of the network, averaged over images, in the values of the space."""
    layers = _layers(network, spec, space)
    if not spec.condition_on.names:
        return _wrapped(_model(network), layers)
    conditional = _conditional_model(network)
    return Layered(conditional, space, layers) if layers else conditional


@final
class Layered(ConditionalModel):
    """The models of an inner one, each in the same layers."""

    def __init__(self, inner: ConditionalModel, space: Space, layers: tuple[Layer, ...]) -> None:
        super().__init__()
        self.inner = inner
        self._space = space
        self._layers = layers

    @property
    def space(self) -> Space:
        """The space of the outermost layer."""
        return self._space

    @property
    def conditions(self) -> tuple[str, ...]:
        """The names of the inner model's conditions."""
        return self.inner.conditions

    def at(self, values: Float[Tensor, "row condition"]) -> Model:
        """The inner model with conditions ``values``, in its layers."""
        return _wrapped(self.inner.at(values), self._layers)


def _model(network: Network) -> Model:
    if isinstance(network, FlowNetwork):
        return Flow(network)
    if isinstance(network, DiscreteFlow):
        return DiscreteFlowModel(network)
    return ProductModel(network) if isinstance(network, IndependentNetwork) else Autoregressive(network)


def _conditional_model(network: Network) -> ConditionalModel:
    if isinstance(network, FlowNetwork):
        return ConditionalFlow(network)
    if isinstance(network, DiscreteFlow):
        return ConditionalDiscreteFlow(network)
    if isinstance(network, IndependentNetwork):
        return ConditionalProductModel(network)
    return ConditionalAutoregressive(network)


def _layers(network: Network, spec: DistributionSpec, space: Space) -> tuple[Layer, ...]:
    """What the network's model is put into, the innermost first."""
    layers: list[Layer] = []
    if network.space.spec != space.spec:
        layers.append(lambda model: TwoValued(model, space))
    names = spec.averaged_symmetries(space.spec)
    if names:
        elements = images(names, space.spec)
        layers.append(lambda model: symmetrized(model, elements))
    return tuple(layers)


def _wrapped(model: Model, layers: tuple[Layer, ...]) -> Model:
    return reduce(lambda inner, layer: layer(inner), layers, model)
