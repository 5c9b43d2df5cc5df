"""Spaces: their measure, their enumeration, and what they refuse."""

from math import log

import numpy as np
import pytest
import torch

from zoo.core.spaces import Spins
from zoo.specs.errors import InvalidValueError
from zoo.specs.spaces import SpaceSpec


def spins(*shape: int) -> Spins:
    return Spins(SpaceSpec(kind="spins", event_shape=shape))


def test_enumeration_meets_every_configuration_once() -> None:
    states = spins(2, 3).enumerate()
    assert states.shape == (64, 2, 3)
    assert states.dtype == torch.int8
    assert len(np.unique(states.flatten(1).numpy(), axis=0)) == 64
    spins(2, 3).validate(states)


def test_base_measure_counts_configurations() -> None:
    assert spins(4, 5).base_log_measure == pytest.approx(20 * log(2))
    assert spins(2, 2).base_log_measure == pytest.approx(log(len(spins(2, 2).enumerate())))


def test_too_many_spins_are_not_enumerated() -> None:
    with pytest.raises(ValueError, match="25 variables of 2 values"):
        spins(5, 5).enumerate()


@pytest.mark.parametrize("dtype", [torch.int8, torch.float32, torch.int64])
def test_spins_of_any_number_type_are_valid(dtype: torch.dtype) -> None:
    spins(2, 2).validate(torch.tensor([[[1, -1], [1, 1]]]).to(dtype))


def test_the_first_offender_is_named() -> None:
    x = torch.ones(3, 2, 2)
    x[1, 0, 1], x[2, 1, 1] = 0, 7
    with pytest.raises(InvalidValueError, match=r"\[1\]\[0\]\[1\] is 0"):
        spins(2, 2).validate(x)
    with pytest.raises(InvalidValueError, match=r"\(3, 4\)"):
        spins(2, 2).validate(torch.ones(3, 4))
    x = torch.full((1, 2, 2), float("nan"))
    with pytest.raises(InvalidValueError, match=r"\[0\]\[0\]\[0\] is nan"):
        spins(2, 2).validate(x)
