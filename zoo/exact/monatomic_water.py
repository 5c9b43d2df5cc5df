"""The exact reference of two molecules of monatomic water in a box: one integral over their distance.

Two molecules have no three-body energy, and the sphere |r| < a sigma of relative vectors fits into the box:
Z = V [V - volume of the sphere + integral_{r < a sigma} d^3 r exp(-beta v(r))]; see ``zoo.exact.two_particles``.
"""

import numpy as np
from jaxtyping import Float64

from zoo.exact.temperatures import require_temperature
from zoo.exact.two_particles import BoxedPair
from zoo.specs.errors import NumericalError
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.monatomic_water import CUTOFF, EPSILON, SIGMA, A, B, MonatomicWaterSpec


def exact_reference(spec: MonatomicWaterSpec, beta: float) -> ExactReference:
    """Exact beta_f = -ln Z of two molecules at ``beta`` (which stands in for ``spec.beta``), the centre of mass free.

    Observables: ``energy_per_particle`` in kcal/mol and ``heat_capacity_per_particle``.

    Raises:
        InvalidValueError: a beta that is not greater than 0 and finite.
        NoExactReferenceError: more than two molecules, or a beta so large that the quadrature does not converge.
    """
    require_temperature(beta)
    if spec.n != 2:
        raise spec.no_exact_reference(f"{spec.n} molecules; at most 2")

    def reduced_energy(r: Float64[np.ndarray, " point"]) -> Float64[np.ndarray, " point"]:
        x = np.minimum(r / SIGMA, CUTOFF / SIGMA * (1 - 1e-9))  # the exponential ends before rounding can pass it
        return np.asarray(beta * A * EPSILON * (B * x**-4 - 1) * np.exp(1 / (x - CUTOFF / SIGMA)))

    try:
        cumulants = BoxedPair(spec.volume, 3, (CUTOFF,)).cumulants(reduced_energy)
    except NumericalError as error:
        raise spec.no_exact_reference(error.detail) from error
    return ExactReference(
        beta_f=-cumulants.log_z,
        method="quadrature",
        citation="one integral over the distance of the two molecules",
        observables={
            "energy_per_particle": cumulants.mean / (2 * beta),
            "heat_capacity_per_particle": cumulants.variance / 2,
        },
    )
