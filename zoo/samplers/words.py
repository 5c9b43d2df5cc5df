"""Random 32-bit words, and events that compare a word with a threshold: the cheapest exact coins there are."""

from math import prod
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt32

from zoo.core.random import RandomStream


def word_source(rng: RandomStream) -> np.random.Philox:
    """Philox4x64-10 with the key (seed, domain) of ``rng``, from the start; a stream serves one source."""
    return np.random.Philox(key=np.array([rng.seed, rng.domain], dtype=np.uint64))


def words(source: np.random.Philox, *shape: int) -> UInt32[np.ndarray, "..."]:
    """The next words of ``source``, uniform in 0 .. 2^32 - 1, two from each of its 64-bit numbers."""
    count = prod(shape)
    raw: np.ndarray[Any, np.dtype[np.uint64]] = np.asarray(source.random_raw((count + 1) // 2))
    return raw.view(np.uint32)[:count].reshape(shape)


def threshold(probability: Float64[np.ndarray, "*shape"]) -> UInt32[np.ndarray, "*shape"]:
    """T such that a word is below T with ``probability``, to within 2^-33; a certain event fails with 2^-32."""
    return np.minimum(np.rint(probability * 2.0**32), 2.0**32 - 1).astype(np.uint32)


def choices(word: UInt32[np.ndarray, "*shape"], count: int) -> UInt32[np.ndarray, "*shape"]:
    """A number 0 .. ``count`` - 1 from each word, all equally likely to within 2^-32."""
    chosen = word.astype(np.uint64)
    chosen *= np.uint64(count)
    chosen >>= np.uint64(32)
    return chosen.astype(np.uint32)
