"""The exact reference of a Hopfield model: enumeration, or a sum over the classes of sites that patterns treat alike.

With p patterns the energy depends on the overlaps n m_p = sum_i xi_pi s_i alone:

    E(s) = -sum_{i<j} J_ij s_i s_j = -(1/2n) sum_p (n m_p)^2 + p/2.

Sites whose columns (xi_1i, .., xi_pi) are equal or opposite form a class; with the signs turned so that they are equal,
a class of n_c sites enters by its magnetization M_c = n_c - 2 k alone, which binomial(n_c, k) configurations have:

    Z = sum over all k_c of prod_c binomial(n_c, k_c) exp(-beta E),      n m_p = sum_c xi_pc M_c.

p patterns have at most 2^(p-1) classes, so the sum has about (n / 2^(p-1) + 1)^(2^(p-1)) terms.
"""

from functools import lru_cache, reduce

import numpy as np
from jaxtyping import Float64, Int
from scipy.special import gammaln

from zoo.exact.cumulants import Cumulants, cumulants_of_levels
from zoo.exact.enumeration import MAX_SPINS, pair_enumeration_cumulants
from zoo.exact.spin_glass import ENUMERATION
from zoo.exact.temperatures import require_temperature_or_zero_beta
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.hopfield import HopfieldSpec

MAX_TERMS = 2**23
"""Most sets of class magnetizations that are summed over: some seconds."""

_CLASSES = ("sum over pattern classes", "Amit, Gutfreund and Sompolinsky, Phys. Rev. A 32, 1007 (1985)")


@lru_cache(maxsize=16)
def exact_reference(spec: HopfieldSpec, beta: float) -> ExactReference:
    """Exact beta_f = -ln Z of ``spec`` at ``beta`` (which stands in for ``spec.beta``), with energy and heat capacity.

    Observables: ``energy_per_site`` is <E> / n; ``heat_capacity_per_site`` is beta^2 var(E) / n.

    Raises:
        InvalidValueError: a beta that is negative, infinite or NaN.
        NoExactReferenceError: more than 24 spins in more than 2^23 sets of class magnetizations.
    """
    require_temperature_or_zero_beta(beta)
    patterns = spec.pattern_values()
    if spec.n <= MAX_SPINS:
        method, cumulants = ENUMERATION, pair_enumeration_cumulants(_couplings(patterns, beta), np.zeros(spec.n))
    else:
        terms = _fewest_terms(patterns)
        if terms > MAX_TERMS:
            raise spec.no_exact_reference(
                f"{spec.n} spins are more than the {MAX_SPINS} of enumeration, and the classes of sites have at least "
                f"{terms:.1e} sets of magnetizations; at most {MAX_TERMS} are summed over"
            )
        method, cumulants = _CLASSES, pattern_class_cumulants(patterns, beta)
    return ExactReference(
        beta_f=-cumulants.log_z, method=method[0], citation=method[1], observables=cumulants.observables(beta, spec.n)
    )


def number_of_terms(patterns: Int[np.ndarray, "pattern site"]) -> float:
    """prod_c (n_c + 1), the sets of class magnetizations."""
    _, sizes = _classes(patterns)
    return float(np.prod(sizes + 1.0))


def _fewest_terms(patterns: Int[np.ndarray, "pattern site"]) -> float:
    """``number_of_terms``, or a lower bound of it that is above ``MAX_TERMS``.

    More patterns divide the classes of the first few, and (a + 1)(b + 1) > a + b + 1: the number never falls.
    """
    few = 1
    while few < len(patterns) and number_of_terms(patterns[:few]) <= MAX_TERMS:
        few *= 2
    return number_of_terms(patterns[:few])


def pattern_class_cumulants(patterns: Int[np.ndarray, "pattern site"], beta: float) -> Cumulants:
    """Ln Z with mean and variance of beta E, by the sum over classes; arrays of ``number_of_terms`` numbers."""
    n, (columns, sizes) = patterns.shape[1], _classes(patterns)
    axes = [np.arange(size + 1) for size in sizes]
    log_counts = reduce(
        np.add.outer,
        [gammaln(n_c + 1) - gammaln(k + 1) - gammaln(n_c - k + 1) for n_c, k in zip(sizes, axes, strict=True)],
    )
    square_sum = np.zeros(np.shape(log_counts))
    for pattern in columns:
        overlap = reduce(np.add.outer, [xi * (n_c - 2 * k) for xi, n_c, k in zip(pattern, sizes, axes, strict=True)])
        square_sum += np.square(overlap, dtype=np.float64)
    energy = len(patterns) / 2 - square_sum / (2 * n)
    return cumulants_of_levels(beta * energy, np.asarray(log_counts))


def _classes(
    patterns: Int[np.ndarray, "pattern site"],
) -> tuple[Int[np.ndarray, "pattern class"], Int[np.ndarray, " class"]]:
    """The distinct columns, each with its first sign turned to +1, and how many sites have them."""
    columns, sizes = np.unique(patterns * patterns[:1], axis=1, return_counts=True)
    return columns, sizes


def _couplings(patterns: Int[np.ndarray, "pattern site"], beta: float) -> Float64[np.ndarray, "site site"]:
    """Beta J; its diagonal is not used."""
    return np.asarray(beta / patterns.shape[1] * (patterns.T @ patterns))
