"""Uniform numbers by counter as numpy arrays: the numbers of ``RandomStream.uniforms``, without torch."""

import numpy as np
from jaxtyping import Float32, Float64

_FLOATS_PER_COUNTER = 8  # Philox4x64 makes four 64-bit words for each value of its counter, a float32 takes 32 bits
_STEP = 2.0**-24  # a float32 in [0, 1) made from 24 bits is a whole multiple of it


def uniform_pairs(seed: int, num_samples: int) -> Float32[np.ndarray, "sample 2"]:
    """Two uniform float32 numbers in [0, 1) for each sample: ``RandomStream(seed).uniforms(num_samples, 2)``."""
    bits = np.random.Philox(key=np.array([seed, 0], dtype=np.uint64))
    block = np.random.Generator(bits).random((num_samples, _FLOATS_PER_COUNTER), dtype=np.float32)
    return block[:, :2]


def fine_uniforms(pairs: Float32[np.ndarray, "sample 2"]) -> Float64[np.ndarray, " sample"]:
    """One uniform float64 of 48 bits, in [0, 1), from two float32 numbers of 24 bits: u = u_0 + 2^-24 u_1."""
    wide = pairs.astype(np.float64)
    fine: Float64[np.ndarray, " sample"] = wide[:, 0] + _STEP * wide[:, 1]
    return fine
