"""The patterns of bars and stripes, numbered, and what is known of their uniform distribution.

A picture of h x w bits is a pattern when each of its rows is of one value (2^h pictures) or each of its columns is (2^w
pictures).  The two constant pictures are both, so there are

    M = 2^h + 2^w - 2

patterns, Z = M at any beta, and the entropy is ln M nats.  The picture with all bits flipped is a pattern too, so the
mean of every bit is 1/2.
"""

from math import log

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from zoo.exact.counter_uniforms import fine_uniforms, uniform_pairs
from zoo.specs.datasets import BarsAndStripesDataSpec, LabelledSamples
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.bars_and_stripes import BarsAndStripesSpec

Shape = tuple[int, int]


def num_patterns(shape: Shape) -> int:
    """M = 2^h + 2^w - 2."""
    height, width = shape
    return (1 << height) + (1 << width) - 2


def patterns(index: Int64[np.ndarray, " sample"], shape: Shape) -> UInt8[np.ndarray, "sample row column"]:
    """The patterns with numbers 0 .. M - 1: first those with constant rows, row r being bit r of the number.

    Number k >= 2^h has constant columns, column c being bit c of k - 2^h + 1, which runs over 1 .. 2^w - 2: neither of
    the constant pictures comes again.
    """
    height, width = shape
    of_rows = index < 2**height
    bits = np.where(of_rows, index, index - 2**height + 1)[:, None]
    rows = (bits >> np.arange(height) & 1).astype(np.uint8)[:, :, None]
    columns = (bits >> np.arange(width) & 1).astype(np.uint8)[:, None, :]
    return np.where(of_rows[:, None, None], rows, columns)


def drawn_patterns(pairs: Float32[np.ndarray, "sample 2"], shape: Shape) -> UInt8[np.ndarray, "sample row column"]:
    """Patterns with equal probability, one for each pair of uniform numbers: number floor(u M).

    Probabilities differ from 1/M by at most 2^-48, the resolution of u.
    """
    return patterns((fine_uniforms(pairs) * num_patterns(shape)).astype(np.int64), shape)


def exact_reference(spec: BarsAndStripesSpec) -> ExactReference:
    """-ln Z = -ln M with the entropy in nats, the same at every beta.

    ``row_uniform`` is the probability 2^h / M that every row is of one value.
    """
    number = num_patterns(spec.shape)
    observables = {
        "energy": 0.0,
        "heat_capacity": 0.0,
        "entropy": log(number),
        "filling": 0.5,
        "row_uniform": 2 ** spec.shape[0] / number,
    }
    return ExactReference(
        beta_f=-log(number), method="count of the patterns", citation=spec.citation, observables=observables
    )


def bars_and_stripes_data(spec: BarsAndStripesDataSpec) -> LabelledSamples:
    """Independent patterns: what ``BarsAndStripes.draw`` gives for ``RandomStream(seed)``."""
    return LabelledSamples(spec.target.space, drawn_patterns(uniform_pairs(spec.seed, spec.n), spec.shape))
