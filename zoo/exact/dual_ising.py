"""The continuous field dual to the Ising model: its partition function from that of the spins.

Gauss's integral introduces a field x for the spins s, with the matrix M = K + o I made positive by the offset o:

    exp(1/2 s^T M s) = (2 pi)^(-N/2) det(M)^(-1/2) int d^N x exp(-1/2 x^T M^-1 x + s^T x).

On the left s^T o s = o N and 1/2 s^T K s = beta sum_<ij> s_i s_j (J = 1); on the right the sum over the spins is
prod_i 2 cosh x_i.  Hence

    exp(o N / 2) Z_spin = (2 pi)^(-N/2) det(M)^(-1/2) 2^N Z_x,
    ln Z_x = ln Z_spin + o N / 2 + (N / 2) ln 2 pi + 1/2 ln det M - N ln 2.

Given the spins, x is normal with mean M s and covariance M; given x, the spins are independent with mean tanh x.  So

    <1/2 x^T M^-1 x> = 1/2 (N + <s^T M s>) = 1/2 (1 + o) N - beta <E_spin>,

with E_spin = -1/2 s^T A s the spins' energy, and averages of products of different spins are those of tanh x.
The mean of ln cosh x, and so that of S, has no such form.

Hubbard, Phys. Rev. Lett. 3, 77 (1959); Li and Wang, Phys. Rev. Lett. 121, 260601 (2018), supplement.
"""

from math import log, pi, prod

import numpy as np
from jaxtyping import Float64

from zoo.exact.ising import exact_reference as ising_reference
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.dual_ising import DualIsingSpec
from zoo.specs.targets.ising import IsingSpec

SMALLEST_EIGENVALUE = 0.1
"""That of K + o I, which defines o."""


def coupling_spectrum(shape: tuple[int, ...], beta: float) -> Float64[np.ndarray, "*shape"]:
    """The eigenvalues of K + o I, K = beta A, on a periodic lattice; entry k belongs to the wave vector 2 pi k / L.

    An axis contributes 2 cos(2 pi k / L) to A: its double bond included when L = 2, and nothing when L = 1.
    """
    axes = [2 * np.cos(2 * np.pi * np.arange(side) / side) if side > 1 else np.zeros(1) for side in shape]
    adjacency = sum(np.ix_(*axes), np.zeros(shape))
    return np.asarray(beta * (adjacency - adjacency.min()) + SMALLEST_EIGENVALUE)


def offset(shape: tuple[int, ...], beta: float) -> float:
    """The offset o = 0.1 - smallest eigenvalue of K: the mean eigenvalue of K + o I, since A has no diagonal."""
    return float(coupling_spectrum(shape, beta).mean())


def exact_reference(spec: DualIsingSpec, beta: float) -> ExactReference:
    """Exact beta_f = -ln Z_x; ``beta`` is that of the state exp(-beta S), where only 1 is known.

    Observables: ``spin_energy_per_site`` <E_spin> / N in the unit of J, and ``quadratic_action_per_site``.

    Raises:
        NoExactReferenceError: a beta other than 1.
    """
    if beta != 1:
        raise spec.no_exact_reference(
            f"S at state beta {beta:g} was asked for; S holds the temperature already and is known at 1 alone"
        )
    sites, o = prod(spec.shape), offset(spec.shape, spec.beta)
    spins = ising_reference(IsingSpec(shape=spec.shape, beta=spec.beta), spec.beta)
    log_det = float(np.log(coupling_spectrum(spec.shape, spec.beta)).sum())
    log_z = -spins.beta_f + sites * (o / 2 + log(2 * pi) / 2 - log(2)) + log_det / 2
    energy = spins.observables["energy_per_site"]
    return ExactReference(
        beta_f=-log_z,
        method=f"{spins.method}, by the transform to a continuous field",
        citation=f"{spec.citation}; {spins.citation}",
        observables={
            "spin_energy_per_site": energy,
            "quadratic_action_per_site": (1 + o) / 2 - spec.beta * energy,
            "magnetization": 0.0,
        },
    )
