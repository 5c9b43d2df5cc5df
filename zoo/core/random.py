"""Random numbers as an argument: counter-based streams, so that any part can be made anywhere, again and alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

_WORDS_PER_COUNTER = 4  # Philox4x64 makes four 64-bit words for each value of its counter
_FLOATS_PER_COUNTER = 2 * _WORDS_PER_COUNTER  # a float32 takes 32 bits
_MASK = 2**64 - 1


@dataclass(frozen=True)
class RandomStream:
    """Uniform random numbers that are a pure function of (seed, domain, sample index, position).

    Philox4x64-10 (Salmon et al., SC 2011) with key (seed, domain); sample i owns its own range of counters, so the
    numbers of a sample do not depend on how many others are drawn with it.  ``first`` is the index of the first sample.
    """

    seed: int
    domain: int = 0
    first: int = 0

    def at(self, first: int) -> "RandomStream":
        """The same stream, starting at sample index ``first``."""
        return RandomStream(self.seed, self.domain, first)

    def child(self, domain: int) -> "RandomStream":
        """An independent stream of the same seed, e.g. one for each training step."""
        return RandomStream(self.seed, domain)

    def spawn(self, index: int) -> "RandomStream":
        """An independent stream for part ``index`` >= 0 of whatever this one is for: a chain group, a step of a chain.

        Its domain is a 64-bit hash of this domain and ``index`` (splitmix64, Steele et al., OOPSLA 2014), so streams of
        streams do not meet, but for a chance of about 2^-64 for each pair.
        """
        return RandomStream(self.seed, _splitmix64(_splitmix64(self.domain) ^ _splitmix64(~index & _MASK)))

    def uniforms(
        self, num_samples: int, per_sample: int, device: torch.device | str = "cpu"
    ) -> Float[Tensor, "sample {per_sample}"]:
        """Uniform float32 numbers in [0, 1), shape (num_samples, per_sample)."""
        counters = -(-per_sample // _FLOATS_PER_COUNTER)
        key = np.array([self.seed, self.domain], dtype=np.uint64)
        bits = np.random.Philox(key=key, counter=self.first * counters)
        block = np.random.Generator(bits).random((num_samples, counters * _FLOATS_PER_COUNTER), dtype=np.float32)
        return torch.from_numpy(block)[:, :per_sample].to(device)

    def normals(
        self, num_samples: int, per_sample: int, device: torch.device | str = "cpu"
    ) -> Float64[Tensor, "sample {per_sample}"]:
        """Standard normal float64 numbers, shape (num_samples, per_sample), by Box and Muller from 53-bit uniforms."""
        pairs = -(-per_sample // 2)
        counters = -(-2 * pairs // _WORDS_PER_COUNTER)
        key = np.array([self.seed, self.domain], dtype=np.uint64)
        bits = np.random.Philox(key=key, counter=self.first * counters)
        block = np.random.Generator(bits).random((num_samples, counters * _WORDS_PER_COUNTER))
        radius = np.sqrt(-2 * np.log1p(-block[:, :pairs]))
        angle = 2 * np.pi * block[:, pairs : 2 * pairs]
        normal = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], 1)
        return torch.from_numpy(normal[:, :per_sample]).to(device)

    def single_normals(
        self, num_samples: int, per_sample: int, device: torch.device | str = "cpu"
    ) -> Float32[Tensor, "sample {per_sample}"]:
        """Standard normal float32 numbers, shape (num_samples, per_sample), by Box and Muller from 32-bit uniforms.

        They reach 6.7 deviations, and take a tenth of the time of ``normals``.
        """
        pairs = -(-per_sample // 2)
        counters = -(-2 * pairs // _FLOATS_PER_COUNTER)
        key = np.array([self.seed, self.domain], dtype=np.uint64)
        bits = np.random.Philox(key=key, counter=self.first * counters)
        words = bits.random_raw(num_samples * counters * _WORDS_PER_COUNTER).view(np.uint32).reshape(num_samples, -1)
        uniforms = torch.from_numpy(words[:, : 2 * pairs].astype(np.float32)).to(device).add_(0.5).mul_(2.0**-32)
        radius = uniforms[:, :pairs].log().mul_(-2).sqrt_()
        angle = uniforms[:, pairs:].mul(2 * pi)
        return torch.cat([radius * angle.cos(), radius * angle.sin()], 1)[:, :per_sample]


@dataclass(frozen=True)
class JoinedStreams(RandomStream):
    """Rows of several streams in one batch: each part draws what it draws alone, beside whatever neighbours.

    ``parts`` are streams with their numbers of rows, in the order of the batch.  Made by ``joined``.
    """

    parts: tuple[tuple[RandomStream, int], ...] = ()

    def at(self, first: int) -> RandomStream:
        """The streams moved on together, so that the first row of the batch is ``first``."""
        return joined([(stream.at(stream.first + first - self.first), rows) for stream, rows in self.parts])

    def child(self, domain: int) -> RandomStream:
        """The child of each stream, whose rows stay what they are."""
        return joined([(stream.child(domain).at(stream.first), rows) for stream, rows in self.parts])

    def spawn(self, index: int) -> RandomStream:
        """Part ``index`` of each stream, whose rows stay what they are."""
        return joined([(stream.spawn(index).at(stream.first), rows) for stream, rows in self.parts])

    def uniforms(
        self, num_samples: int, per_sample: int, device: torch.device | str = "cpu"
    ) -> Float[Tensor, "sample {per_sample}"]:
        """The uniforms of every part, one after the other."""
        self._check(num_samples)
        return torch.cat([stream.uniforms(rows, per_sample) for stream, rows in self.parts]).to(device)

    def normals(
        self, num_samples: int, per_sample: int, device: torch.device | str = "cpu"
    ) -> Float64[Tensor, "sample {per_sample}"]:
        """The normals of every part, one after the other."""
        self._check(num_samples)
        return torch.cat([stream.normals(rows, per_sample) for stream, rows in self.parts]).to(device)

    def single_normals(
        self, num_samples: int, per_sample: int, device: torch.device | str = "cpu"
    ) -> Float32[Tensor, "sample {per_sample}"]:
        """The float32 normals of every part, one after the other."""
        self._check(num_samples)
        return torch.cat([stream.single_normals(rows, per_sample) for stream, rows in self.parts]).to(device)

    def _check(self, num_samples: int) -> None:
        total = sum(rows for _, rows in self.parts)
        if num_samples != total:
            msg = f"{num_samples} rows asked of streams joined for a batch of {total}"
            raise ValueError(msg)


def joined(parts: Sequence[tuple[RandomStream, int]]) -> RandomStream:
    """One stream for a batch in which ``rows`` rows belong to each stream, in their order."""
    if len(parts) == 1:
        return parts[0][0]
    first = parts[0][0]
    return JoinedStreams(first.seed, first.domain, first.first, tuple(parts))


def _splitmix64(x: int) -> int:
    x = (x + 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)
