"""Random quantum circuits on a chain of qubits, simulated exactly by the state vector, in complex double precision.

The amplitude of the string b_0 .. b_{n-1}, bit i being that of qubit i, stands at index k = sum_i b_i 2^i, the order of
``DiscreteSpace.enumerate``.  A circuit of depth d is

    psi = R_d (C_{d-1} R_{d-1}) .. (C_1 R_1) (C_0 R_0) |0...0>,

with R_t one Haar-random rotation for each qubit and C_t controlled-Z on the pairs (i, i + 1), i = t mod 2, t mod 2 + 2,
.. (brickwork; Arute et al., Nature 574, 505 (2019), with CZ for their entangler and SU(2) for their gate set).

A Haar-random element of SU(2) is U = [[a, -b*], [b, a*]] with (Re a, Im a, Re b, Im b) uniform on the unit sphere of
R^4: a vector of four standard normals, divided by its length.

The distribution at inverse temperature beta is p^beta / Z with ln Z = ln sum_k p_k^beta, so Z = 1 at beta = 1.  For
Porter-Thomas statistics, 2^n p exponentially distributed (Boixo et al., Nature Physics 14, 595 (2018)), the linear
cross-entropy of the circuit with itself is 2^n sum p^2 - 1 = 1 up to corrections of order 2^-n, and the entropy is
n ln 2 - 1 + gamma with Euler's constant gamma.
"""

from functools import lru_cache, reduce

import numpy as np
from jaxtyping import Complex128, Float32, Float64, UInt8

from zoo.exact.counter_uniforms import fine_uniforms, uniform_pairs
from zoo.specs.datasets import BitstringsDataSpec, LabelledSamples
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.bitstrings import BitstringsSpec

_GROUP = 5  # qubits rotated together: products with 32 x 32 matrices run at the speed of the processor

Layers = Complex128[np.ndarray, "layer qubit 2 2"]
Amplitudes = Complex128[np.ndarray, " string"]
Strings = UInt8[np.ndarray, "sample qubit"]


def haar_rotations(qubits: int, depth: int, seed: int) -> Layers:
    """The rotations of a circuit, shape (depth + 1, qubits, 2, 2), from ``default_rng(seed)``."""
    x = np.random.default_rng(seed).standard_normal((depth + 1, qubits, 4))
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    a, b = x[..., 0] + 1j * x[..., 1], x[..., 2] + 1j * x[..., 3]
    return np.stack([np.stack([a, -b.conj()], -1), np.stack([b, a.conj()], -1)], -2)


def entangled_pairs(cycle: int, qubits: int) -> list[tuple[int, int]]:
    """The pairs (i, i + 1) that controlled-Z joins in a cycle: even i in cycles 0, 2, .., odd i in the others."""
    return [(i, i + 1) for i in range(cycle % 2, qubits - 1, 2)]


def final_state(rotations: Layers) -> Amplitudes:
    """The amplitudes of |psi> for given rotations, one layer more than there are cycles; the norm is conserved."""
    layers, qubits = rotations.shape[:2]
    signs = [_entangler(cycle, qubits) for cycle in (0, 1)]
    psi = np.zeros(2**qubits, dtype=np.complex128)
    psi[0] = 1
    for cycle in range(layers - 1):
        psi = _rotated(psi, rotations[cycle]) * signs[cycle % 2]
    return _rotated(psi, rotations[-1])


def _rotated(psi: Amplitudes, gates: Complex128[np.ndarray, "qubit 2 2"]) -> Amplitudes:
    """Every qubit by its own gate.

    Each product acts on the lowest qubits and moves them to the top; after the last one they stand where they began.
    """
    for first in range(0, len(gates), _GROUP):
        group = gates[first : first + _GROUP]
        matrix = reduce(lambda low, gate: np.kron(gate, low), group)
        psi = (psi.reshape(-1, len(matrix)) @ matrix.T).T.reshape(-1)
    return psi


def _entangler(cycle: int, qubits: int) -> Float64[np.ndarray, " string"]:
    """The diagonal of C_t: -1 to the number of joined pairs that are both 1."""
    index = np.arange(2**qubits)
    odd = np.zeros(2**qubits, dtype=np.int64)
    for i, j in entangled_pairs(cycle, qubits):
        odd ^= index >> i & index >> j & 1
    return 1.0 - 2.0 * odd


@lru_cache(maxsize=8)
def string_probabilities(qubits: int, depth: int, seed: int) -> Float64[np.ndarray, " string"]:
    """P(b) of all 2^n strings, their sum 1 to rounding; read-only, and kept for the last few circuits."""
    psi = final_state(haar_rotations(qubits, depth, seed))
    p: Float64[np.ndarray, " string"] = psi.real**2 + psi.imag**2
    p /= p.sum()
    p.flags.writeable = False
    return p


def drawn_strings(
    probabilities: Float64[np.ndarray, " string"], beta: float, pairs: Float32[np.ndarray, "sample 2"]
) -> Strings:
    """Strings with probability p^beta / Z, one for each pair of uniform numbers, by inversion of the cumulative sum.

    A string of probability 0 never comes; others are off by at most 2^-48, the resolution of the uniform numbers.
    """
    cumulative = _weights(probabilities, beta).cumsum()
    index = np.searchsorted(cumulative / cumulative[-1], fine_uniforms(pairs), side="right")
    qubits = len(probabilities).bit_length() - 1
    return (index[:, None] >> np.arange(qubits) & 1).astype(np.uint8)


def exact_reference(spec: BitstringsSpec, beta: float) -> ExactReference:
    """-ln Z at ``beta`` from all probabilities, with energy, heat capacity, entropy (nats) and further means.

    ``linear_cross_entropy`` is the mean of 2^n p(b) - 1, at beta = 1 thus 2^n sum p^2 - 1.
    """
    p = string_probabilities(spec.qubits, spec.depth, spec.seed)
    possible = p > 0
    energy = -np.log(p[possible])
    lowest = energy.min()
    log_z = float(np.log(np.exp(-beta * (energy - lowest)).sum()) - beta * lowest)
    weight = np.exp(-beta * energy - log_z)
    mean = float(weight @ energy)
    filling = sum(float(weight @ (np.flatnonzero(possible) >> i & 1)) for i in range(spec.qubits)) / spec.qubits
    observables = {
        "energy": mean,
        "heat_capacity": beta**2 * float(weight @ (energy - mean) ** 2),
        "entropy": beta * mean + log_z,
        "linear_cross_entropy": len(p) * float(weight @ p[possible]) - 1,
        "filling": filling,
    }
    method = "exact state vector"
    return ExactReference(beta_f=0.0 - log_z, method=method, citation=spec.citation, observables=observables)


def bitstrings_data(spec: BitstringsDataSpec) -> LabelledSamples:
    """Independent measured strings: what ``Bitstrings.draw`` gives at beta = 1 for ``RandomStream(seed)``."""
    p = string_probabilities(spec.qubits, spec.depth, spec.circuit_seed)
    return LabelledSamples(spec.target.space, drawn_strings(p, 1.0, uniform_pairs(spec.seed, spec.n)))


def _weights(probabilities: Float64[np.ndarray, " string"], beta: float) -> Float64[np.ndarray, " string"]:
    """(p / max p)^beta: proportional to the distribution at ``beta``, and free of overflow; exactly 0 where p is."""
    weights: Float64[np.ndarray, " string"] = (probabilities / probabilities.max()) ** beta
    return weights
