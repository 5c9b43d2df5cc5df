"""Flows of discrete variables: independent sites and modular shifts."""

from typing import final

import torch
from jaxtyping import Float, Float64, Int, Num
from torch import Tensor, nn
from torch.nn.functional import log_softmax, one_hot

from zoo.core.models import ConditionalModel, Model
from zoo.core.random import RandomStream
from zoo.core.spaces import DiscreteSpace, Space
from zoo.models.bijections.coupling import Halves, alternating, checkerboard
from zoo.models.site_values import levels
from zoo.nn.conditioner import Conditioner
from zoo.nn.conditioning import FEATURES, Features, encoder_of
from zoo.nn.dense import DenseConditioner, DenseShape
from zoo.nn.weights import generator_of, normal_parameter
from zoo.specs.errors import InvalidValueError
from zoo.specs.models.discrete_flow import DiscreteFlowSpec

_FIRST_LOGITS = 1.0  # size of the base's logits at first: where all values are even, shifts change nothing


@final
class DiscreteFlow(nn.Module):
    """x_a = (z_a + s(x_b)) mod q for two halves a and b in turn, s = argmax of a network's q outputs for each site.

    Values are counted 0 .. q - 1.  q(x) = prod_i p_i(z_i) with learnt probabilities p_i: the shifts are one to one, so
    there is no Jacobian, and likelihoods and samples are exact and parallel.  The probabilities of q are those of the
    base in another order: a distribution whose sorted probabilities are not those of a product is out of reach.

    Biased by design: x does not change when the weights of a shift change a little, so the true gradient in them is
    zero almost everywhere.  Instead the derivative of softmax(outputs / temperature) is taken for that of the one-hot
    argmax (straight-through).  The gradient of ln q in these weights is then a heuristic whose average over q is not
    zero; that in the base's probabilities is exact.  This is so under maximum likelihood, where it learns well, and
    under the reverse KL divergence, whose score-function estimator multiplies the same gradient and learns worse.

    Source: Tran, Vafa, Agrawal, Dinh, Poole, arXiv:1905.10347; Bengio, Leonard, Courville, arXiv:1308.3432.
    """

    def __init__(self, spec: DiscreteFlowSpec, space: Space, seed: int) -> None:
        super().__init__()
        if (reason := spec.unsupported_reason(space.spec)) is not None or not isinstance(space, DiscreteSpace):
            raise InvalidValueError(reason or f"family {spec.family!r} models discrete values")
        generator = generator_of(seed)
        self.space: DiscreteSpace = space
        self.temperature = spec.temperature
        self.condition_on = spec.condition_on
        self.encoder = encoder_of(spec.condition_on, generator)
        conditional = self.encoder is not None
        shape = space.event_shape
        self.halves = checkerboard(shape) if all(side % 2 == 0 for side in shape) else alternating(space.num_sites)
        q = space.num_values
        self.conditioners = nn.ModuleList()
        for layer in range(spec.couplings):
            active, frozen = self.halves.of_layer(layer)
            dense = DenseShape(len(frozen) * q, len(active), q, spec.width, spec.depth)
            self.conditioners.append(DenseConditioner(dense, generator, conditional=conditional))
        self.logits = normal_parameter((space.num_sites, q), _FIRST_LOGITS, generator)
        values = space.num_sites * q
        self.conditional_logits = nn.Parameter(torch.zeros(values, FEATURES)) if conditional else None
        self._parts = _Parts(self.halves)

    def features(self, conditions: Float[Tensor, "row condition"] | None) -> Features:
        """What the networks are told of the conditions."""
        return None if self.encoder is None or conditions is None else self.encoder(conditions)

    def base_log_prob(self, features: Features) -> Float64[Tensor, "row site value"]:
        """Ln p_i(k) of every site and value."""
        logits = self.logits[None]
        if features is not None and self.conditional_logits is not None:
            logits = logits + (features @ self.conditional_logits.t()).view(-1, *self.logits.shape)
        return log_softmax(logits.double(), 2)

    def forward_values(self, z: Int[Tensor, "batch site"], features: Features) -> Int[Tensor, "batch site"]:
        """x, from values counted 0 .. q - 1 to such values."""
        halves = self._parts.taken(z)
        for layer, conditioner in enumerate(self.conditioners):
            active = layer % 2
            frozen = one_hot(halves[1 - active], self.space.num_values).to(self.logits.dtype)
            shift = _outputs(conditioner, frozen, features).argmax(2)
            halves[active] = (halves[active] + shift) % self.space.num_values
        return self._parts.joined(halves)

    def inverse_one_hot(self, x: Int[Tensor, "batch site"], features: Features) -> Float[Tensor, "batch site value"]:
        """Z as one-hot vectors, with straight-through derivatives in the weights of the shifts."""
        values = self._parts.taken(x)
        vectors = [one_hot(half, self.space.num_values).to(self.logits.dtype) for half in values]
        for layer in reversed(range(len(self.conditioners))):
            active = layer % 2
            outputs = _outputs(self.conditioners[layer], vectors[1 - active], features)
            soft = (outputs / self.temperature).softmax(2)
            values[active], vectors[active] = shifted_back(values[active], vectors[active], outputs.argmax(2), soft)
        return self._parts.joined(vectors)


def shifted_back(
    values: Int[Tensor, "batch site"],
    vectors: Float[Tensor, "batch site value"],
    shift: Int[Tensor, "batch site"],
    soft: Float[Tensor, "batch site value"],
) -> tuple[Int[Tensor, "batch site"], Float[Tensor, "batch site value"]]:
    """(x - s) mod q as values and as one-hot vectors.

    As a function of one-hot vectors x and s it is z_k = sum_j x_(k + j) s_j; the derivatives are those of this sum,
    with that of ``soft`` for the one of s.  The products with one-hot vectors are single entries: z_k has the
    derivative of x_(k + s) + soft_(x - k).
    """
    q = soft.shape[2]
    moved = (values - shift) % q
    hard = one_hot(moved, q).to(soft.dtype)
    if not torch.is_grad_enabled():
        return moved, hard
    k = torch.arange(q, device=values.device)
    slope = vectors.gather(2, (k + shift[:, :, None]) % q) + soft.gather(2, (values[:, :, None] - k) % q)
    return moved, hard + (slope - slope.detach())


def _outputs(conditioner: nn.Module, frozen: Float[Tensor, "batch site value"], features: Features) -> Tensor:
    """The network's q numbers for each active site, shape (batch, site, value)."""
    if not isinstance(conditioner, Conditioner):
        msg = f"{type(conditioner).__name__} is no conditioner"
        raise TypeError(msg)
    outputs: Tensor = conditioner(frozen.flatten(1), features)
    return outputs.expand(len(frozen), -1, -1).transpose(1, 2)


@final
class _Parts(nn.Module):
    """The two halves of the sites, taken apart and joined."""

    def __init__(self, halves: Halves) -> None:
        super().__init__()
        order = torch.cat([halves.first, halves.second])
        self.register_buffer("_order", order, persistent=False)
        self.register_buffer("_back", order.argsort(), persistent=False)
        self._sizes = [len(halves.first), len(halves.second)]

    _order: Tensor
    _back: Tensor

    def taken(self, x: Tensor) -> list[Tensor]:
        """The halves of ``x``, whose second axis is the site."""
        return list(torch.split(x.index_select(1, self._order), self._sizes, 1))

    def joined(self, halves: list[Tensor]) -> Tensor:
        """What ``taken`` took apart."""
        return torch.cat(halves, 1).index_select(1, self._back)


@final
class DiscreteFlowModel(Model):
    """The distribution of a discrete flow; see ``DiscreteFlow``."""

    def __init__(self, network: DiscreteFlow, conditions: Float[Tensor, "row condition"] | None = None) -> None:
        super().__init__()
        self.network = network
        self.conditions = conditions

    @property
    def space(self) -> DiscreteSpace:
        """The space of the samples."""
        return self.network.space

    def log_prob(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """sum_i ln p_i(z_i) in nats, counting measure, float64; its gradient in the shifts is straight-through."""
        network = self.network
        features = network.features(self.conditions)
        z = network.inverse_one_hot(self._indices(x).flatten(1), features)
        return (z * network.base_log_prob(features)).sum((1, 2))

    def sample(self, num_samples: int, rng: RandomStream) -> Num[Tensor, "batch *event"]:
        """Independent samples; without gradient."""
        return self.sample_and_log_prob(num_samples, rng)[0]

    def sample_and_log_prob(
        self, num_samples: int, rng: RandomStream
    ) -> tuple[Num[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """The samples that ``sample`` draws and their ln q: z_i is the first value whose cumulative p_i exceeds u_i."""
        network = self.network
        with torch.no_grad():
            features = network.features(self.conditions)
            log_prob = network.base_log_prob(features).expand(num_samples, -1, -1)
            cumulative = log_prob.exp().cumsum(2)[:, :, :-1]
            uniforms = levels(num_samples, self.space.num_sites, rng, network.logits.device).double()
            z = (uniforms[:, :, None] >= cumulative).sum(2)
            x = self.space.from_indices(network.forward_values(z, features))
            total = log_prob.gather(2, z[:, :, None])[:, :, 0].sum(1)
            return x.reshape(num_samples, *self.space.event_shape), total

    def _indices(self, x: Num[Tensor, "batch *event"]) -> Int[Tensor, "batch *event"]:
        """Values counted 0 .. q - 1."""
        return (x > 0).long() if self.space.spec.kind == "spins" else x.long()


@final
class ConditionalDiscreteFlow(ConditionalModel):
    """A discrete flow whose base and shifts depend on conditions."""

    def __init__(self, network: DiscreteFlow) -> None:
        super().__init__()
        self.network = network

    @property
    def space(self) -> Space:
        """The space of the samples."""
        return self.network.space

    @property
    def conditions(self) -> tuple[str, ...]:
        """The names of the conditions."""
        return self.network.condition_on.names

    def at(self, values: Float[Tensor, "row condition"]) -> DiscreteFlowModel:
        """The flow with conditions ``values``, one row for all configurations or one for each of a batch."""
        return DiscreteFlowModel(self.network, values)
