"""The handwritten digits of scikit-learn, read from its file: the library itself need not be imported."""

import gzip
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from zoo.specs.datasets import DigitsSpec, LabelledSamples
from zoo.specs.spaces import SpaceSpec

SIDE = 8
TEST_PICTURES = 360
"""A fifth of the 1797 pictures."""

_FILE = "datasets/data/digits.csv.gz"


def digits(spec: DigitsSpec) -> LabelledSamples:
    """Pictures of shape (8, 8), as bits (pixel >= threshold) or as float32 numbers from 0 to 16, and their digits."""
    table = _table()
    rows = _rows(spec, len(table))
    pixels = table[rows, : SIDE * SIDE].reshape(-1, SIDE, SIDE)
    labels = table[rows, SIDE * SIDE].astype(np.int64)
    if spec.binarise:
        space = SpaceSpec(kind="bits", event_shape=(SIDE, SIDE))
        return LabelledSamples(space, (pixels >= spec.threshold).astype(np.uint8), labels)
    space = SpaceSpec(kind="reals", event_shape=(SIDE, SIDE))
    return LabelledSamples(space, pixels.astype(np.float32), labels)


def rows_for_tests(num_rows: int) -> Int64[np.ndarray, " row"]:
    """The rows kept for tests, ascending: the first 360 of numpy's ``default_rng(0).permutation``.

    The file is ordered by writer, so a split without a permutation would test on other hands.
    """
    return np.sort(np.random.default_rng(0).permutation(num_rows)[:TEST_PICTURES])


def _rows(spec: DigitsSpec, num_rows: int) -> Int64[np.ndarray, " row"]:
    everything, kept = np.arange(num_rows), rows_for_tests(num_rows)
    return {"all": everything, "train": np.setdiff1d(everything, kept), "test": kept}[spec.split]


@cache
def _table() -> Float64[np.ndarray, "picture 65"]:
    """64 pixels and the label of each picture."""
    package = find_spec("sklearn")
    if package is None or package.submodule_search_locations is None:
        msg = "scikit-learn is not installed, and the digits are its file; pip install 'helmholtz[server]'"
        raise ModuleNotFoundError(msg, name="sklearn")
    with gzip.open(Path(package.submodule_search_locations[0]) / _FILE, "rt") as lines:
        return np.loadtxt(lines, delimiter=",")
