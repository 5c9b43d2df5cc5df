"""Spaces of configurations: where samples live, and the measure that densities refer to."""

from abc import ABC, abstractmethod
from math import log
from typing import final

import torch
from torch import Tensor

from zoo.specs.arrays import as_configurations
from zoo.specs.spaces import SpaceSpec


class Space(ABC):
    """A set of configurations of one shape, with the base measure that log-densities refer to."""

    def __init__(self, spec: SpaceSpec) -> None:
        self.spec = spec

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one configuration."""
        return self.spec.event_shape

    @property
    def num_sites(self) -> int:
        """Number of variables of one configuration."""
        return self.spec.num_sites

    @property
    @abstractmethod
    def base_log_measure(self) -> float:
        """Natural logarithm of the total base measure; infinite for unbounded spaces."""

    def validate(self, x: Tensor) -> None:
        """Nothing, when every row of ``x``, shape (batch, *event_shape), is a configuration.

        Raises:
            InvalidValueError: a wrong shape or a value outside the space, naming the first offender.
        """
        as_configurations(x.detach().cpu().numpy(), self.spec)


@final
class Spins(Space):
    """N variables of value -1 or +1, with the counting measure: base_log_measure = N ln 2."""

    @property
    def base_log_measure(self) -> float:
        """N ln 2, the logarithm of the number of configurations."""
        return self.num_sites * log(2)

    def enumerate(self) -> Tensor:
        """All 2^N configurations as int8, shape (2^N, *event_shape); N at most 24.

        Raises:
            ValueError: N above 24.
        """
        n = self.num_sites
        if n > 24:
            msg = f"enumeration of {n} spins asked; at most 24 fit in memory"
            raise ValueError(msg)
        index = torch.arange(2**n, dtype=torch.int32)
        bits = (index[:, None] >> torch.arange(n, dtype=torch.int32)) & 1
        return (2 * bits - 1).to(torch.int8).reshape(-1, *self.event_shape)
