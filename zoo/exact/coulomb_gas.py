"""The exact reference of charges in a trap: closed form, Ginibre's formula, or quadrature for two.

Two more observables follow from dilation, x -> (1 + eps) x, which gives <sum_i x_i . grad_i E> = n d / beta:

    logarithmic:  k <sum_i |x_i|^2> = n d / beta + q^2 n (n-1) / 2           (any n, d, beta)
    inverse:      k <sum_i |x_i|^2> = n d / beta + <V>,  E = k/2 sum_i |x_i|^2 + V,
                  so that k <sum_i |x_i|^2> = 2/3 (n d / beta + <E>)
"""

import numpy as np
from jaxtyping import Float64

from zoo.exact.cumulants import Cumulants
from zoo.exact.ginibre import (
    MAX_ENERGY_PARTICLES,
    ginibre_applies,
    ginibre_log_z,
    ginibre_mean_logarithm,
    ginibre_radii,
)
from zoo.exact.harmonic_trap import trap_cumulants, trap_radii
from zoo.exact.temperatures import require_temperature
from zoo.exact.two_particles import product_of, radial_cumulants
from zoo.specs.errors import NumericalError
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.coulomb_gas import CoulombGasSpec


def exact_reference(spec: CoulombGasSpec, beta: float) -> ExactReference:
    """Exact beta_f = -ln Z of ``spec`` at ``beta`` (which stands in for ``spec.beta``), with what else is known.

    Observables: ``energy_per_particle``, ``heat_capacity_per_particle`` (closed form and quadrature only),
    ``sum_r_squared``, ``sum_r_fourth`` (closed form and Ginibre only); the energy of Ginibre's gas to 200 particles.

    Raises:
        InvalidValueError: a beta that is not greater than 0 and finite.
        NoExactReferenceError: three or more interacting charges, but for the logarithmic gas at beta q^2 = 2; two
            charges with parameters so extreme that the quadrature does not converge.
    """
    require_temperature(beta)
    if spec.n == 1 or spec.charge_squared == 0:
        return _independent(spec, beta)
    beta_charge = beta * spec.charge_squared
    if spec.dimension == 2 and spec.interaction == "logarithmic" and ginibre_applies(beta_charge):
        return _ginibre(spec, beta)
    if spec.n == 2:
        return _two_charges(spec, beta)
    why = (
        f"{spec.n} charges in {spec.dimension} dimensions, {spec.interaction}, at beta q^2 = {beta_charge:g}; "
        "at most 2 charges, or any number in 2 dimensions, logarithmic, at beta q^2 = 2"
    )
    raise spec.no_exact_reference(why)


def _independent(spec: CoulombGasSpec, beta: float) -> ExactReference:
    beta_trap = beta * spec.trap
    cumulants = trap_cumulants(spec.n * spec.dimension, beta_trap)
    return ExactReference(
        beta_f=-cumulants.log_z,
        method="independent particles",
        citation="closed form: Z = (2 pi / (beta k))^(n d / 2)",
        observables=_energies(cumulants, spec, beta) | trap_radii(spec.n, spec.dimension, beta_trap),
    )


def _ginibre(spec: CoulombGasSpec, beta: float) -> ExactReference:
    beta_trap = beta * spec.trap
    observables = ginibre_radii(spec.n, beta_trap)
    if spec.n <= MAX_ENERGY_PARTICLES:
        logarithms = ginibre_mean_logarithm(spec.n, beta_trap)
        energy = spec.trap / 2 * observables["sum_r_squared"] - spec.charge_squared * logarithms
        observables["energy_per_particle"] = energy / spec.n
    return ExactReference(
        beta_f=-ginibre_log_z(spec.n, beta_trap),
        method="Ginibre 1965",
        citation="Ginibre, J. Math. Phys. 6, 440 (1965)",
        observables=observables,
    )


def _two_charges(spec: CoulombGasSpec, beta: float) -> ExactReference:
    try:
        cumulants = two_charge_cumulants(spec, beta)
    except NumericalError as error:
        raise spec.no_exact_reference(error.detail) from error
    energies = _energies(cumulants, spec, beta)
    thermal = 2 * spec.dimension / beta
    if spec.interaction == "logarithmic":
        squared = (thermal + spec.charge_squared) / spec.trap
    else:
        squared = (thermal + 2 * energies["energy_per_particle"]) * 2 / 3 / spec.trap
    return ExactReference(
        beta_f=-cumulants.log_z,
        method="quadrature",
        citation="Gaussian centre of mass, and one integral over the distance of the two charges",
        observables=energies | {"sum_r_squared": squared},
    )


def two_charge_cumulants(spec: CoulombGasSpec, beta: float) -> Cumulants:
    """Of two charges: the centre of mass in a trap of stiffness 2 k, and the distance in one of k / 2 with q^2 v(r)."""
    beta_charge = beta * spec.charge_squared

    def relative(r: Float64[np.ndarray, " point"]) -> Float64[np.ndarray, " point"]:
        repulsion = beta_charge / r if spec.interaction == "inverse" else -beta_charge * np.log(r)
        return np.asarray(beta * spec.trap / 4 * r * r + repulsion)

    centre = trap_cumulants(spec.dimension, 2 * beta * spec.trap)
    return product_of([centre, radial_cumulants(relative, spec.dimension)])


def _energies(cumulants: Cumulants, spec: CoulombGasSpec, beta: float) -> dict[str, float]:
    return {
        "energy_per_particle": cumulants.mean / (beta * spec.n),
        "heat_capacity_per_particle": cumulants.variance / spec.n,
    }
