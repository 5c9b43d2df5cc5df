"""What cluster updates need to know of a target: bonds that favour equal values by one and the same energy.

Fortuin and Kasteleyn, Physica 57, 536 (1972): with E = -gain sum_<ij> delta(s_i, s_j) + constant and gain >= 0, each
bond between equal values is activated with probability 1 - exp(-beta gain), each of a double bond for itself; given
the clusters of sites that active bonds connect, all values of a cluster as a whole are equally likely.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Int64, Num, UInt8, UInt32
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.core.spaces import DiscreteSpace
from zoo.core.targets import PairwiseSpins, Target
from zoo.samplers.base import Beta
from zoo.samplers.blocks import betas_of
from zoo.samplers.words import choices, threshold, word_source, words
from zoo.specs.errors import InvalidValueError
from zoo.targets.potts import Potts


@final
@dataclass(frozen=True)
class Ferromagnet:
    """Variables of ``num_values`` values each, and the energy that each of the bonds gains when its ends are equal."""

    space: DiscreteSpace
    bonds: Int64[np.ndarray, "bond 2"]
    gain: float

    def activation(self, beta: Beta) -> UInt32[np.ndarray, " chain"]:
        """The threshold below which a random word activates a bond of equal values: 1 - exp(-beta gain)."""
        return threshold(-np.expm1(-self.gain * betas_of(beta)))


@dataclass(frozen=True)
class ClusterState:
    """Where the chains are: values counted 0 .. q - 1, sites in raster order; the device of the configurations."""

    values: UInt8[np.ndarray, "chain site"]
    device: torch.device


def ferromagnet(target: Target) -> Ferromagnet:
    """The bonds of ``target``: gain 2 J for spins, since s_i s_j = 2 delta(s_i, s_j) - 1, and J for Potts variables.

    Raises:
        InvalidValueError: a field, a coupling below 0 or different couplings, or another kind of target.
    """
    if isinstance(target, Potts) and target.spec.J >= 0:
        return Ferromagnet(target.space, target.bonds.numpy(), target.spec.J)
    if isinstance(target, PairwiseSpins) and isinstance(target.space, DiscreteSpace):
        pairs = target.interactions
        site = torch.arange(len(pairs.fields))[:, None].expand_as(pairs.neighbours)
        once = (pairs.neighbours > site) & (pairs.neighbours < len(site))
        J = np.unique(pairs.couplings[once].numpy())
        if len(J) <= 1 and bool((J >= 0).all()) and not bool(pairs.fields.any()):
            bonds = torch.stack([site[once], pairs.neighbours[once]], 1)
            return Ferromagnet(target.space, bonds.numpy(), 2 * float(J.sum()))
    name = type(target).__name__
    msg = f"clusters need spins or Potts variables with one coupling J >= 0 and no field; {name} came without"
    raise InvalidValueError(msg)


def random_state(model: Ferromagnet, num_chains: int, rng: RandomStream) -> ClusterState:
    """Chains at independent configurations, all equally likely."""
    index = choices(words(word_source(rng), num_chains, model.space.num_sites), model.space.num_values)
    return ClusterState(index.astype(np.uint8), torch.device("cpu"))


def state_of(model: Ferromagnet, configurations: Num[Tensor, "chain *event"]) -> ClusterState:
    """Chains at given ``configurations``."""
    values = configurations.detach().cpu().flatten(1).to(torch.int64).numpy()
    if model.space.spec.kind == "spins":
        values = (values + 1) // 2
    return ClusterState(values.astype(np.uint8), configurations.device)


def configurations_of(model: Ferromagnet, state: ClusterState) -> Num[Tensor, "chain *event"]:
    """Where the chains are, in the dtype of the target's space."""
    x = model.space.from_indices(torch.from_numpy(state.values.astype(np.int64)))
    return x.reshape(-1, *model.space.event_shape).to(state.device)
