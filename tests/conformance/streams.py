"""Streams of random numbers in which the rows of a batch change places or neighbours."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from jaxtyping import Float, Float32, Float64

from zoo.core.random import RandomStream


@dataclass(frozen=True)
class _Changed(RandomStream):
    """A stream whose spawned streams are changed in the same way."""

    def at(self, first: int) -> Self:
        return replace(self, first=first)

    def spawn(self, index: int) -> Self:
        return replace(self, domain=super().spawn(index).domain)


@dataclass(frozen=True)
class OneRowKept(_Changed):
    """A stream whose row ``kept`` is that of the seed, while all other rows are another seed's."""

    kept: int = 0

    def uniforms(
        self, num_samples: int, per_sample: int, device: torch.device | str = "cpu"
    ) -> Float[torch.Tensor, "sample {per_sample}"]:
        own = RandomStream(self.seed, self.domain).uniforms(num_samples, per_sample, device)
        other = RandomStream(self.seed + 1, self.domain).uniforms(num_samples, per_sample, device)
        other[self.kept] = own[self.kept]
        return other

    def normals(
        self, num_samples: int, per_sample: int, device: torch.device | str = "cpu"
    ) -> Float64[torch.Tensor, "sample {per_sample}"]:
        own = RandomStream(self.seed, self.domain).normals(num_samples, per_sample, device)
        other = RandomStream(self.seed + 1, self.domain).normals(num_samples, per_sample, device)
        other[self.kept] = own[self.kept]
        return other

    def single_normals(
        self, num_samples: int, per_sample: int, device: torch.device | str = "cpu"
    ) -> Float32[torch.Tensor, "sample {per_sample}"]:
        own = RandomStream(self.seed, self.domain).single_normals(num_samples, per_sample, device)
        other = RandomStream(self.seed + 1, self.domain).single_normals(num_samples, per_sample, device)
        other[self.kept] = own[self.kept]
        return other


@dataclass(frozen=True)
class Rotated(_Changed):
    """The seed's stream with its rows moved down by ``shift``."""

    shift: int = 0

    def uniforms(
        self, num_samples: int, per_sample: int, device: torch.device | str = "cpu"
    ) -> Float[torch.Tensor, "sample {per_sample}"]:
        return RandomStream(self.seed, self.domain).uniforms(num_samples, per_sample, device).roll(self.shift, 0)

    def normals(
        self, num_samples: int, per_sample: int, device: torch.device | str = "cpu"
    ) -> Float64[torch.Tensor, "sample {per_sample}"]:
        return RandomStream(self.seed, self.domain).normals(num_samples, per_sample, device).roll(self.shift, 0)

    def single_normals(
        self, num_samples: int, per_sample: int, device: torch.device | str = "cpu"
    ) -> Float32[torch.Tensor, "sample {per_sample}"]:
        return RandomStream(self.seed, self.domain).single_normals(num_samples, per_sample, device).roll(self.shift, 0)
