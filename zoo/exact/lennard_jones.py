"""The exact reference of two Lennard-Jones particles: one integral over their distance.

Cluster: with x_1 + x_2 = 0, c/2 (|x_1|^2 + |x_2|^2) = c r^2 / 4, and

    Z = 2^(-d/2) integral d^d r exp(-beta [v(r) + c r^2 / 4]).

Periodic box: the cut-off is at most half a side, so that the sphere |r| < r_c of relative vectors fits into the box,
and outside of it v = 0:  Z = V [V - volume of the sphere + integral_{r < r_c} d^d r exp(-beta v(r))].
"""

import numpy as np
from jaxtyping import Float64

from zoo.exact.cumulants import Cumulants
from zoo.exact.temperatures import require_temperature
from zoo.exact.two_particles import BoxedPair, RadialFunction, radial_cumulants, without_centre
from zoo.specs.errors import NumericalError
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.lennard_jones import LennardJonesSpec


def exact_reference(spec: LennardJonesSpec, beta: float) -> ExactReference:
    """Exact beta_f = -ln Z of two particles at ``beta`` (which stands in for ``spec.beta``).

    Clusters with a fixed centre of mass, boxes with a free one.  Observables: ``energy_per_particle`` and
    ``heat_capacity_per_particle``.

    Raises:
        InvalidValueError: a beta that is not greater than 0 and finite.
        NoExactReferenceError: more than two particles, or parameters so extreme that the quadrature does not converge.
    """
    require_temperature(beta)
    if spec.n != 2:
        raise spec.no_exact_reference(f"{spec.n} particles; at most 2")
    try:
        cumulants = _boxed(spec, beta) if spec.volume is not None else _cluster(spec, beta)
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


def _cluster(spec: LennardJonesSpec, beta: float) -> Cumulants:
    pair = _pair_energy(spec, beta)
    relative = radial_cumulants(lambda r: pair(r) + beta * spec.pull / 4 * r * r, spec.dimension)
    return without_centre(relative, spec.dimension)


def _boxed(spec: LennardJonesSpec, beta: float) -> Cumulants:
    pair, cutoff, start = _pair_energy(spec, beta), spec.cutoff_radius, spec.switching
    edges = (cutoff,) if start is None else (start, cutoff)
    if start is None:
        shift = float(pair(np.array([cutoff]))[0])
        return BoxedPair(spec.volume or 0.0, spec.dimension, edges).cumulants(lambda r: pair(r) - shift)

    def switched(r: Float64[np.ndarray, " point"]) -> Float64[np.ndarray, " point"]:
        y = np.clip((r - start) / (cutoff - start), 0.0, 1.0)
        return pair(r) * (1 - 10 * y**3 + 15 * y**4 - 6 * y**5)

    return BoxedPair(spec.volume or 0.0, spec.dimension, edges).cumulants(switched)


def _pair_energy(spec: LennardJonesSpec, beta: float) -> RadialFunction:
    """Beta v(r) without cut-off, +inf where it is larger than any float."""

    def pair_energy(r: Float64[np.ndarray, " point"]) -> Float64[np.ndarray, " point"]:
        with np.errstate(over="ignore", divide="ignore"):
            s6 = (spec.sigma / r) ** 6
            return np.asarray(4 * beta * spec.epsilon * s6 * (s6 - 1))

    return pair_energy
