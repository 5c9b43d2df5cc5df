"""What model samples say of a system at one inverse temperature: free energy, energy and heat capacity together."""

from dataclasses import dataclass

from zoo.estimators.free_energy import importance_beta_f, variational_beta_f
from zoo.estimators.observables import importance_energy, importance_heat_capacity
from zoo.estimators.weights import Vector
from zoo.specs.estimate import Estimate


@dataclass(frozen=True)
class Thermodynamics:
    """Estimates of one state, of all sites together; the errors of the last three are those of weighted averages."""

    beta_f: Estimate
    """-ln Z, by importance weights."""
    upper_bound: Estimate
    """-ln Z + KL(q || p), the variational bound."""
    energy: Estimate
    """<E> under the target, in its unit."""
    heat_capacity: Estimate
    """beta^2 (<E^2> - <E>^2) under the target, k_B = 1."""


def thermodynamics(log_weights: Vector, energies: Vector, beta: float) -> Thermodynamics:
    """The estimates from log w = -beta E - log q and E, both of shape (num_samples,), of samples of q.

    Self-normalised importance sampling with errors by the delta method, see ``zoo.estimators.observables``.  The four
    come from the same samples: their errors are correlated with each other.

    Raises:
        InvalidValueError: shapes that do not agree.
        NumericalError: a number that is not finite; of the bound also a sample of zero target probability.
    """
    return Thermodynamics(
        beta_f=importance_beta_f(log_weights),
        upper_bound=variational_beta_f(log_weights),
        energy=importance_energy(log_weights, energies, num_sites=1),
        heat_capacity=importance_heat_capacity(log_weights, energies, beta, num_sites=1),
    )
