"""The Hopfield model: its energy by Hebb's rule, its overlaps, and its free energy by two independent sums."""

from math import comb, log

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from zoo.exact import hopfield
from zoo.exact.enumeration import enumeration_cumulants
from zoo.exact.hopfield import exact_reference, number_of_terms, pattern_class_cumulants
from zoo.specs.errors import NoExactReferenceError
from zoo.specs.targets.hopfield import HopfieldSpec
from zoo.targets.hopfield import Hopfield

SPECS = [
    HopfieldSpec(n=1),
    HopfieldSpec(n=7, patterns=1, seed=2),
    HopfieldSpec(n=12, patterns=3, seed=1),
    HopfieldSpec(n=10, patterns=11, seed=4),
    HopfieldSpec(n=4, patterns=((1, -1, 1, -1), (1, 1, -1, -1))),
    HopfieldSpec(n=6, patterns=((1, 1, 1, 1, 1, 1),)),
    HopfieldSpec(n=5, patterns=((1, 1, 1, 1, 1), (1, 1, 1, 1, 1))),
]


def configurations(n: int, num: int = 30) -> Tensor:
    return torch.from_numpy(np.random.default_rng(1).choice([-1, 1], size=(num, n)).astype(np.int8))


def by_pairs(s: NDArray[np.int8], spec: HopfieldSpec) -> float:
    """-sum_{i<j} J_ij s_i s_j with each J_ij from the patterns."""
    xi, n = spec.pattern_values(), spec.n
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    return -sum(float(xi[:, i] @ xi[:, j]) / n * float(s[i]) * float(s[j]) for i, j in pairs)


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("dtype", [torch.int8, torch.float32, torch.float64])
def test_energy_is_hebbs_rule_without_self_coupling(spec: HopfieldSpec, dtype: torch.dtype) -> None:
    x = configurations(spec.n)
    energy = Hopfield(spec).energy(x.to(dtype))
    assert energy.dtype == torch.float64
    assert energy.numpy() == pytest.approx([by_pairs(s, spec) for s in x.numpy()], abs=1e-12)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_interactions_give_the_same_energy(spec: HopfieldSpec) -> None:
    target, s = Hopfield(spec), configurations(spec.n).double()
    pairs = target.interactions
    around = torch.cat([s, torch.zeros(len(s), 1)], 1)[:, pairs.neighbours]
    energy = -((s * (pairs.couplings * around).sum(2)).sum(1) / 2 + s @ pairs.fields)
    assert torch.allclose(energy, target.energy(s), atol=1e-12)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_symmetries_are_claimed_exactly_where_they_hold(spec: HopfieldSpec) -> None:
    target, x = Hopfield(spec), configurations(spec.n, 200)
    for symmetry, image in {"z2": -x, "lattice_translation": x.roll(1, 1), "lattice_point_group": x.flip(1)}.items():
        assert (symmetry in target.symmetries) == torch.allclose(target.energy(x), target.energy(image))


def test_a_stored_pattern_has_overlap_one_and_the_lowest_energy() -> None:
    spec = HopfieldSpec(n=400, patterns=10, seed=3)
    target, patterns = Hopfield(spec), torch.from_numpy(spec.pattern_values())
    found = target.observables(patterns)
    assert [float(found[f"overlap_{p + 1}"][p]) for p in range(8)] == [1.0] * 8
    assert "overlap_9" not in found
    assert found["max_abs_overlap"].tolist() == [1.0] * 10
    assert bool((found["energy_per_site"] < target.observables(configurations(400))["energy_per_site"].min()).all())


def test_random_patterns_are_numpys() -> None:
    expected = np.random.default_rng(9).choice([-1, 1], (5, 33))
    assert np.array_equal(HopfieldSpec(n=33, patterns=5, seed=9).pattern_values(), expected)


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 2.5])
def test_pattern_classes_agree_with_the_enumeration_of_the_targets_own_energy(spec: HopfieldSpec, beta: float) -> None:
    target = Hopfield(spec)
    expected = enumeration_cumulants(target.energy, spec.n, beta)
    by_classes, reference = pattern_class_cumulants(spec.pattern_values(), beta), target.exact_reference(beta)
    assert by_classes.log_z == pytest.approx(expected.log_z, abs=1e-11)
    assert by_classes.mean == pytest.approx(expected.mean, abs=1e-10)
    assert by_classes.variance == pytest.approx(expected.variance, abs=1e-10)
    assert reference.beta_f == pytest.approx(-expected.log_z, abs=1e-11)
    assert reference.observables["heat_capacity_per_site"] == pytest.approx(expected.variance / spec.n, abs=1e-10)
    assert reference.method == "enumeration"


@pytest.mark.parametrize("beta", [0.5, 1.0, 1.5])
def test_one_pattern_is_curie_and_weiss(beta: float) -> None:
    n = 600  # sum over M = n - 2k of binomial(n, k) exp(beta (M^2 / n - 1) / 2), by exact binomials
    found = exact_reference(HopfieldSpec(n=n, patterns=1, seed=5), beta)
    terms = [log(comb(n, k)) + beta * ((n - 2 * k) ** 2 / n - 1) / 2 for k in range(n + 1)]
    assert -found.beta_f == pytest.approx(float(np.logaddexp.reduce(terms)), abs=1e-9)
    assert found.method == "sum over pattern classes"


@pytest.mark.parametrize("beta", [0.8, 2.0])
def test_two_orthogonal_patterns_are_two_magnets(beta: float) -> None:
    # m_1 = (M_a + M_b) / n and m_2 = (M_a - M_b) / n: the two halves decouple, each a Curie-Weiss magnet at the same J
    n = 200
    half = np.repeat([1, -1], n // 2)
    spec = HopfieldSpec(n=n, patterns=(tuple([1] * n), tuple(half.tolist())))
    terms = [log(comb(n // 2, k)) + beta * ((n // 2 - 2 * k) ** 2 / n - 0.5) for k in range(n // 2 + 1)]
    assert -exact_reference(spec, beta).beta_f == pytest.approx(2 * float(np.logaddexp.reduce(terms)), abs=1e-9)


def test_what_has_too_many_classes_is_refused_with_the_bound() -> None:
    with pytest.raises(NoExactReferenceError, match=r"30 spins are more than the 24 .* at most 8388608"):
        exact_reference(HopfieldSpec(n=30, patterns=30), 1.0)
    assert number_of_terms(HopfieldSpec(n=4096, patterns=2).pattern_values()) < 2**23


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"n": 0}, "greater than or equal to 1"),
        ({"n": 5000}, "less than or equal to 4096"),
        ({"n": 4, "patterns": 0}, "patterns is 0; a count from 1 to 4096"),
        ({"n": 4, "patterns": True}, "patterns is True"),
        ({"n": 2, "patterns": [[1, 0]]}, r"patterns\[0\]\[1\] is 0; -1 or \+1"),
        ({"n": 2, "patterns": [[1, 1], [1]]}, r"patterns\[1\] is \[1\]"),
        ({"n": 3, "patterns": [[1, 1]]}, "rows of 2 numbers and n is 3"),
        ({"n": 3, "patterns": []}, "patterns has 0 rows"),
        ({"n": 3, "patterns": "all"}, "patterns is 'all'"),
    ],
    ids=str,
)
def test_what_is_no_memory_is_refused_in_words(data: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(HopfieldSpec).validate_python(data)


def test_many_patterns_are_refused_before_their_columns_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def counted(patterns: NDArray[np.int64]) -> float:
        seen.append(len(patterns))
        return number_of_terms(patterns)

    monkeypatch.setattr(hopfield, "number_of_terms", counted)
    with pytest.raises(NoExactReferenceError, match="sets of magnetizations"):
        exact_reference(HopfieldSpec(n=1000, patterns=500), 1.0)
    assert max(seen) <= 8


def test_a_fourth_pattern_never_lowers_the_number_of_terms() -> None:
    patterns = HopfieldSpec(n=30, patterns=12, seed=1).pattern_values()
    counts = [number_of_terms(patterns[:p]) for p in range(1, 13)]
    assert (np.diff(counts) >= 0).all()
