"""Builtins are draws of their targets, and need no torch."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from zoo.catalog import BUILTINS, build_dataset, build_target
from zoo.core.random import RandomStream
from zoo.core.targets import HasDirectSampling
from zoo.exact.counter_uniforms import fine_uniforms, uniform_pairs
from zoo.specs.arrays import as_configurations
from zoo.specs.datasets import AnyBuiltin, BarsAndStripesDataSpec, BitstringsDataSpec, BuiltinSpec, DigitsSpec

DRAWN: tuple[BuiltinSpec, ...] = (
    BarsAndStripesDataSpec(shape=(3, 5), n=200, seed=7),
    BitstringsDataSpec(qubits=5, depth=4, circuit_seed=3, n=200, seed=2**53 - 1),
)


def test_the_uniform_numbers_are_those_of_the_stream() -> None:
    for seed in (0, 5, 2**53 - 1):
        assert torch.equal(torch.from_numpy(uniform_pairs(seed, 33)), RandomStream(seed).uniforms(33, 2))
    fine = fine_uniforms(uniform_pairs(1, 10_000))
    assert 0 <= fine.min() < fine.max() < 1
    assert len(np.unique(fine)) == 10_000
    top = np.full((1, 2), 1 - 2.0**-24, dtype=np.float32)
    assert fine_uniforms(top)[0] == 1 - 2.0**-48


@pytest.mark.parametrize("spec", DRAWN, ids=lambda s: s.builtin)
def test_a_builtin_of_a_target_is_its_draws(spec: BarsAndStripesDataSpec | BitstringsDataSpec) -> None:
    data = build_dataset(spec)
    target = build_target(spec.target)
    assert isinstance(target, HasDirectSampling)
    drawn = target.draw(spec.n, 1.0, RandomStream(spec.seed))
    np.testing.assert_array_equal(data.samples, drawn.numpy())
    assert data.space == spec.target.space == target.space.spec
    assert as_configurations(data.samples, data.space).shape == (200, *spec.target.space.event_shape)
    other = build_dataset(spec.model_copy(update={"seed": 8}))
    assert not np.array_equal(data.samples, other.samples)
    assert spec.source()["target"] == spec.target.model_dump(mode="json")


def test_every_builtin_is_reached_by_its_word() -> None:
    for spec in (DigitsSpec(), *DRAWN):
        again: BuiltinSpec = TypeAdapter(AnyBuiltin).validate_json(spec.model_dump_json())
        assert again == spec
        assert type(again) in BUILTINS
    assert {type(s) for s in (DigitsSpec(), *DRAWN)} == set(BUILTINS)
    with pytest.raises(ValidationError, match="'digits', 'bars_and_stripes', 'bitstrings'"):
        TypeAdapter(AnyBuiltin).validate_python({"builtin": "mnist"})


@pytest.mark.parametrize(
    "fields",
    [
        {"builtin": "digits", "threshold": 0},
        {"builtin": "digits", "threshold": 17},
        {"builtin": "digits", "split": "validation"},
        {"builtin": "digits", "n": 3},
        {"builtin": "digits", "name": "../etc"},
        {"builtin": "bars_and_stripes", "shape": [4], "n": 1},
        {"builtin": "bars_and_stripes", "shape": [4, 33], "n": 1},
        {"builtin": "bars_and_stripes", "shape": [4, 4], "n": 0},
        {"builtin": "bitstrings", "qubits": 21, "depth": 1, "n": 1},
        {"builtin": "bitstrings", "qubits": 4, "depth": -1, "n": 1},
    ],
)
def test_options_outside_their_range_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(AnyBuiltin).validate_python(fields)


def test_builtins_leave_torch_alone() -> None:
    code = (
        "import sys\n"
        "from zoo.catalog import build_dataset\n"
        "from zoo.specs.datasets import *\n"
        "build_dataset(DigitsSpec())\n"
        "build_dataset(BarsAndStripesDataSpec(shape=(2, 2), n=3))\n"
        "build_dataset(BitstringsDataSpec(qubits=3, depth=2, n=3))\n"
        "heavy = {'torch', 'sklearn', 'scipy', 'zoo.core'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)  # noqa: S603 - our own words
