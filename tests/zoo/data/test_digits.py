"""The digits are those of scikit-learn, whole or divided, as bits or as numbers."""

import numpy as np
from sklearn.datasets import load_digits

from zoo.data.digits import digits
from zoo.specs.arrays import as_configurations
from zoo.specs.datasets import DigitsSpec


def test_the_pictures_and_labels_are_those_of_scikit_learn() -> None:
    known = load_digits()
    ours = digits(DigitsSpec(binarise=False))
    np.testing.assert_array_equal(ours.samples, known.images)
    np.testing.assert_array_equal(ours.labels, known.target)
    assert ours.samples.shape == (1797, 8, 8)
    assert ours.samples.dtype == np.float32
    assert as_configurations(ours.samples, ours.space).max() == 16


def test_pixels_become_bits_at_the_threshold() -> None:
    images = load_digits().images
    for threshold in (8.0, 1.0, 16.0):
        ours = digits(DigitsSpec(threshold=threshold))
        np.testing.assert_array_equal(ours.samples, images >= threshold)
        assert ours.space.kind == "bits"
        assert as_configurations(ours.samples, ours.space).dtype == np.uint8


def test_train_and_test_are_a_division_that_never_changes() -> None:
    whole, train, test = (digits(DigitsSpec(binarise=False, split=split)) for split in ("all", "train", "test"))
    assert (len(train.samples), len(test.samples)) == (1437, 360)
    assert train.labels is not None
    assert test.labels is not None
    rows = {part.tobytes(): index for index, part in enumerate(whole.samples)}
    of_train, of_test = ([rows[part.tobytes()] for part in half.samples] for half in (train, test))
    assert sorted(of_train + of_test) == sorted(rows.values())
    assert of_test == sorted(of_test)
    assert of_test[:5] == sorted(np.random.default_rng(0).permutation(1797)[:360])[:5]
    assert np.bincount(test.labels).min() > 20  # every digit is tested
