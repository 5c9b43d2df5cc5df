"""The partition function of a multivariate normal distribution, u = beta/2 x^T K x with x in R^n.

In the eigenbasis of K the integral is a product of n one-dimensional ones,

    ln Z = n/2 ln(2 pi / beta) - 1/2 ln det K,

and u is half a chi-squared variable of n degrees of freedom: <u> = var(u) = n/2 (equipartition).
Source: T. W. Anderson, An Introduction to Multivariate Statistical Analysis, Wiley (1958), ch. 2.
"""

from math import log, pi

import numpy as np
from jaxtyping import Float64

from zoo.exact.cumulants import Cumulants
from zoo.exact.temperatures import require_temperature
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.gaussian import GaussianSpec

_METHOD = "closed form"


def exact_reference(spec: GaussianSpec, beta: float) -> ExactReference:
    """Exact beta_f = -ln Z at ``beta`` (which stands in for ``spec.beta``).

    Observables: ``energy`` is <E> = n / (2 beta) in the target's unit, ``heat_capacity`` beta^2 var(E) = n / 2 with
    k_B = 1, ``squared_norm`` is <x^T x> = tr K^-1 / beta.

    Raises:
        InvalidValueError: a beta that is not positive and finite.
    """
    require_temperature(beta)
    eigenvalues = np.linalg.eigvalsh(spec.matrix)
    cumulants = gaussian_cumulants(eigenvalues, beta)
    return ExactReference(
        beta_f=-cumulants.log_z,
        method=_METHOD,
        citation=spec.citation,
        observables={
            "energy": cumulants.mean / beta,
            "heat_capacity": cumulants.variance,
            "squared_norm": float((1 / eigenvalues).sum() / beta),
        },
    )


def gaussian_cumulants(eigenvalues: Float64[np.ndarray, " n"], beta: float) -> Cumulants:
    """Ln Z with mean and variance of u = beta/2 x^T K x, from the eigenvalues of K, all positive."""
    n = len(eigenvalues)
    log_z = n / 2 * log(2 * pi / beta) - float(np.log(eigenvalues).sum()) / 2
    return Cumulants(log_z, n / 2, n / 2)


def gaussian_log_z_by_elimination(precision: Float64[np.ndarray, "n n"], beta: float) -> float:
    """Ln Z by integrating out one variable after the other.

    For K = [[a, b^T], [b, C]] the integral over x_0 gives sqrt(2 pi / (beta a)) and leaves K' = C - b b^T / a.
    """
    log_z, K = 0.0, precision
    while len(K):
        log_z += log(2 * pi / (beta * K[0, 0])) / 2
        K = K[1:, 1:] - np.outer(K[0, 1:], K[0, 1:]) / K[0, 0]
    return log_z
