"""The exact reference of two particles with a double well in their distance: one integral.

Z = 2^(-d/2) integral d^d r exp(-beta v(|r|)) on x_1 + x_2 = 0; see ``zoo.exact.two_particles``.
"""

import numpy as np
from jaxtyping import Float64

from zoo.exact.temperatures import require_temperature
from zoo.exact.two_particles import radial_cumulants, without_centre
from zoo.specs.errors import NumericalError
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.double_well_particles import DoubleWellParticlesSpec


def exact_reference(spec: DoubleWellParticlesSpec, beta: float) -> ExactReference:
    """Exact beta_f = -ln Z of two particles at ``beta`` (which stands in for ``spec.beta``), centre of mass fixed.

    Observables: ``energy_per_particle`` and ``heat_capacity_per_particle``.

    Raises:
        InvalidValueError: a beta that is not greater than 0 and finite.
        NoExactReferenceError: more than two particles, or parameters so extreme that the quadrature does not converge.
    """
    require_temperature(beta)
    if spec.n != 2:
        raise spec.no_exact_reference(f"{spec.n} particles; at most 2")

    def reduced_energy(r: Float64[np.ndarray, " point"]) -> Float64[np.ndarray, " point"]:
        away = r - spec.r0
        return np.asarray(beta / spec.tau * (spec.a * away + spec.b * away**2 + spec.c * away**4))

    try:
        cumulants = without_centre(radial_cumulants(reduced_energy, spec.dimension), spec.dimension)
    except NumericalError as error:
        raise spec.no_exact_reference(error.detail) from error
    return ExactReference(
        beta_f=-cumulants.log_z,
        method="quadrature",
        citation="one integral over the distance of the two particles",
        observables={
            "energy_per_particle": cumulants.mean / (2 * beta),
            "heat_capacity_per_particle": cumulants.variance / 2,
        },
    )
