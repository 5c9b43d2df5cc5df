"""The simulator against explicit matrices, conservation laws, and the statistics of random states."""

from math import log, pi

import numpy as np
import pytest
from numpy.typing import NDArray

from zoo.exact.random_circuit import (
    entangled_pairs,
    exact_reference,
    final_state,
    haar_rotations,
    string_probabilities,
)
from zoo.specs.targets.bitstrings import BitstringsSpec

Matrix = NDArray[np.complex128]
GAMMA = 0.5772156649015329


def product(factors: list[Matrix]) -> Matrix:
    """The tensor product of one factor for each qubit, the last qubit's first."""
    whole = np.eye(1, dtype=complex)
    for factor in factors:
        whole = np.asarray(np.kron(factor, whole))
    return whole


def on_all(gates: Matrix) -> Matrix:
    """The 2^n x 2^n matrix of one gate for each qubit; qubit 0 is the last factor, for it is the lowest bit."""
    return product(list(gates))


def controlled_z(i: int, j: int, qubits: int) -> Matrix:
    """(1 - sigma_z sigma_z + ..) written out: 1 - 2 |11><11| on two qubits of n."""
    one = np.diag([0.0, 1.0]).astype(complex)
    factors: list[Matrix] = [one if q in {i, j} else np.eye(2, dtype=complex) for q in range(qubits)]
    return np.eye(2**qubits) - 2 * product(factors)


def by_matrices(rotations: Matrix) -> Matrix:
    """The same circuit by explicit matrices."""
    layers, qubits = rotations.shape[:2]
    psi = np.eye(2**qubits, dtype=complex)[0]
    for cycle in range(layers - 1):
        psi = on_all(rotations[cycle]) @ psi
        for i, j in entangled_pairs(cycle, qubits):
            psi = controlled_z(i, j, qubits) @ psi
    final: Matrix = on_all(rotations[-1]) @ psi
    return final


@pytest.mark.parametrize(("qubits", "depth"), [(2, 1), (2, 4), (3, 1), (3, 5), (4, 0), (4, 7), (6, 3), (7, 4)])
def test_the_state_is_that_of_explicit_matrices(qubits: int, depth: int) -> None:
    rotations = haar_rotations(qubits, depth, seed=qubits + depth)
    np.testing.assert_allclose(final_state(rotations), by_matrices(rotations), atol=1e-13)


def test_the_order_of_qubits_and_the_entanglers_matter() -> None:
    """The companion of the test above: circuits that differ in one place give other states."""
    rotations = haar_rotations(4, 5, seed=1)
    psi = final_state(rotations)
    assert np.abs(final_state(rotations[:, ::-1]) - psi).max() > 0.05
    assert np.abs(final_state(rotations[1:]) - psi).max() > 0.05
    assert [entangled_pairs(cycle, 5) for cycle in (0, 1, 2)] == [
        [(0, 1), (2, 3)],
        [(1, 2), (3, 4)],
        [(0, 1), (2, 3)],
    ]


def test_rotations_are_special_unitary_and_haar() -> None:
    """For Haar-random U, |U_00|^2 is uniform: its square has mean 1/3 and variance 4/45 (3/8 for uniform angles)."""
    gates = haar_rotations(100, 99, seed=4)
    identity = gates @ gates.conj().swapaxes(-1, -2)
    np.testing.assert_allclose(identity, np.broadcast_to(np.eye(2), identity.shape), atol=1e-13)
    np.testing.assert_allclose(np.linalg.det(gates), 1, atol=1e-13)
    fourth = np.abs(gates[..., 0, 0]) ** 4
    assert abs(fourth.mean() - 1 / 3) < 4 * np.sqrt(4 / 45 / fourth.size)


def test_the_seed_enters_as_the_spec_says() -> None:
    x = np.random.default_rng(9).standard_normal((3, 2, 4))[1, 1]
    x /= np.linalg.norm(x)
    a, b = complex(x[0], x[1]), complex(x[2], x[3])
    expected = [[a, -b.conjugate()], [b, a.conjugate()]]
    np.testing.assert_allclose(haar_rotations(2, 2, 9)[1, 1], expected, atol=1e-15)


@pytest.mark.parametrize(("qubits", "depth"), [(5, 40), (11, 13), (13, 6)])
def test_the_norm_is_conserved(qubits: int, depth: int) -> None:
    psi = final_state(haar_rotations(qubits, depth, seed=2))
    assert abs(np.vdot(psi, psi) - 1) < 1e-12


def test_depth_zero_is_a_product_state() -> None:
    rotations = haar_rotations(6, 0, seed=8)
    of_one = np.abs(rotations[0, :, 0, 0]) ** 2  # the chance that a qubit is 0
    bits = np.arange(64)[:, None] >> np.arange(6) & 1
    expected = np.where(bits == 0, of_one, 1 - of_one).prod(1)
    np.testing.assert_allclose(string_probabilities(6, 0, 8), expected, atol=1e-14)


def test_without_rotations_nothing_happens() -> None:
    still = np.broadcast_to(np.eye(2, dtype=complex), (5, 7, 2, 2))
    assert final_state(still)[0] == 1


def test_deep_circuits_have_porter_thomas_statistics() -> None:
    """For exponentially distributed 2^n p: 2^n sum p^2 = 2 and var(ln p) under p is pi^2/6 - 1.

    Over 20 circuits of 12 qubits; the scatter between circuits is measured, not assumed.
    """
    references = [exact_reference(BitstringsSpec(qubits=12, depth=60, seed=s), 1.0).observables for s in range(20)]

    def z(values: list[float], expected: float) -> float:
        return float((np.mean(values) - expected) / (np.std(values, ddof=1) / np.sqrt(20)))

    collision = [r["linear_cross_entropy"] + 1 for r in references]
    assert abs(z(collision, 2 * 2**12 / (2**12 + 1))) < 4
    assert np.std(collision) < 0.1
    assert abs(z([r["entropy"] for r in references], 12 * log(2) - 1 + GAMMA)) < 4
    assert abs(z([r["heat_capacity"] for r in references], pi**2 / 6 - 1)) < 4
    shallow = [exact_reference(BitstringsSpec(qubits=12, depth=2, seed=s), 1.0) for s in range(20)]
    assert z([r.observables["linear_cross_entropy"] + 1 for r in shallow], 2) > 4


def test_probabilities_are_kept_and_cannot_be_changed() -> None:
    p = string_probabilities(5, 5, 5)
    assert p is string_probabilities(5, 5, 5)
    with pytest.raises(ValueError, match="read-only"):
        p[0] = 1
    assert p.sum() == pytest.approx(1, abs=1e-14)
