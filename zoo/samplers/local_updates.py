"""Updates of single sites, many chains at once, one colour of the lattice at a time.

Sites of one colour have no bond between them, so they are updated together: each sees the others at rest.  How a site
is updated is a ``SiteRule``; the chains here hold the sites in the order of their colours and do one sweep for a step.

The arithmetic is done on the CPU, in numpy, wherever the configurations live: small integers, and 32 random bits for
each decision.  Chains are cut into blocks, each with random numbers of its own, so that the result does not depend on
the number of threads.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Int64, Integer, Num, UInt32
from torch import Tensor

from zoo.core.lattices import colouring, sublattices
from zoo.core.random import RandomStream
from zoo.core.spaces import DiscreteSpace
from zoo.core.targets import Target
from zoo.samplers.base import Beta, Chains, StepInfo, repeated
from zoo.samplers.blocks import chain_blocks, check_num_chains, in_threads
from zoo.samplers.words import choices, word_source, words
from zoo.specs.errors import InvalidValueError

_NUMBERS_PER_BLOCK = 2**19  # a block and its random words stay in the cache of a core


@final
class Sublattices:
    """The sites of a graph in the order of their colours, and their neighbours in this order."""

    def __init__(self, neighbours: Tensor) -> None:
        order, parts = sublattices(colouring(neighbours))
        position = torch.cat([order.argsort(), torch.tensor([len(order)])])  # the missing neighbour stays N
        self.order: Int64[np.ndarray, " site"] = order.numpy()
        """The raster index of each of our sites."""
        self.position: Int64[np.ndarray, " site"] = position[:-1].numpy()
        """Our index of each site in raster order."""
        self.parts = parts
        """The sites of each colour, in our order."""
        self.neighbours: Int64[np.ndarray, "neighbour site"] = position[neighbours[order]].T.contiguous().numpy()
        """Our indices of the neighbours of each of our sites; N where there is none."""


class SiteRule(ABC):
    """How the sites of one colour are redrawn, given all others, so that exp(-beta E) / Z is left as it is."""

    sites: Sublattices
    words_per_site: int
    """Random words that one update of one site takes."""
    scratch_per_site: int
    """Numbers that one update of one site takes room for."""
    dtype: type[np.number]
    """What the values are held in while they are updated."""
    outside: int
    """The value of the missing neighbour."""

    @abstractmethod
    def update(
        self,
        values: Num[np.ndarray, "site chain"],
        part: int,
        chains: slice,
        word: UInt32[np.ndarray, "word some chain"],
    ) -> None:
        """Redraws sublattice ``part`` of ``values`` in place; ``chains`` are those of the run that are its columns.

        ``values`` has one row more than sites, for the missing neighbour.
        """


@dataclass(frozen=True)
class LocalState:
    """Where the chains are: values in the sampler's order of sites, and the device that configurations belong on."""

    values: Integer[np.ndarray, "site chain"]
    device: torch.device


class LocalUpdates(Chains[LocalState]):
    """Markov chains whose step is one sweep: every site updated once by ``rule``, colour after colour.

    ``acceptance`` is the fraction of the sites whose value changed.
    """

    def __init__(self, target: Target, beta: Beta, rule: SiteRule) -> None:
        super().__init__(target, beta)
        if not isinstance(target.space, DiscreteSpace):
            msg = f"{type(target).__name__} lives on {target.space.spec.kind}; single sites need discrete values"
            raise InvalidValueError(msg)
        self._space = target.space
        self.rule = rule

    @final
    def init(self, num_chains: int, rng: RandomStream) -> LocalState:
        """Chains at independent configurations, all equally likely."""
        check_num_chains(self.beta, num_chains)
        sites = self._space.num_sites
        index = choices(words(word_source(rng), sites, num_chains), self._space.num_values)
        values = self._space.from_indices(torch.from_numpy(index.astype(np.int64)))
        return LocalState(values.numpy(), torch.device("cpu"))

    @final
    def state_at(self, configurations: Num[Tensor, "chain *event"]) -> LocalState:
        """Chains that start from given ``configurations``; those of the draws will live on the same device."""
        check_num_chains(self.beta, len(configurations))
        values = configurations.detach().cpu().flatten(1).T.numpy()
        return LocalState(np.ascontiguousarray(values[self.rule.sites.order]), configurations.device)

    @final
    def step(self, state: LocalState, rng: RandomStream) -> tuple[LocalState, StepInfo]:
        """One sweep; block b of the chains takes its numbers from ``rng.spawn(b)``."""
        num_sites, num_chains = state.values.shape
        blocks = chain_blocks(num_chains, num_sites, _NUMBERS_PER_BLOCK // self.rule.scratch_per_site)
        after, changes = np.empty_like(state.values), np.empty(num_chains, np.int32)

        def sweep(index: int) -> None:
            chains = blocks[index]
            before = state.values[:, chains]
            after[:, chains] = self._swept(before, chains, rng.spawn(index))
            changed = (after[:, chains] != before).view(np.int8)
            np.add.reduce(changed, axis=0, dtype=np.int32, out=changes[chains])

        in_threads(sweep, len(blocks))
        acceptance = torch.from_numpy(changes).to(torch.float32) / num_sites
        return LocalState(after, state.device), StepInfo(acceptance.to(state.device))

    def _swept(
        self, before: Num[np.ndarray, "site chain"], chains: slice, rng: RandomStream
    ) -> Num[np.ndarray, "site chain"]:
        """One block after the update of all its sites."""
        rule, source = self.rule, word_source(rng)
        sites, width = before.shape
        values = np.empty((sites + 1, width), rule.dtype)
        values[:sites], values[sites] = before, rule.outside
        for part, where in enumerate(rule.sites.parts):
            word = words(source, rule.words_per_site, where.stop - where.start, width)
            rule.update(values, part, chains, word)
        return values[:sites]

    @final
    def warm_up(self, state: LocalState, num_steps: int, rng: RandomStream) -> LocalState:
        """``num_steps`` sweeps."""
        return repeated(self, state, num_steps, rng)

    @final
    def configurations(self, state: LocalState) -> Num[Tensor, "chain *event"]:
        """Where the chains are, in the dtype of the target's space."""
        raster = np.ascontiguousarray(state.values[self.rule.sites.position].T)
        return torch.from_numpy(raster).reshape(-1, *self._space.event_shape).to(state.device)
