"""Free energies of periodic solids as they are published, from beta_f = -ln Z and back.

Here Z is the integral over all positions in the box, the centre of mass free, over all n! labellings.  Published for
Lennard-Jones and monatomic water by Wirnsberger et al. (Machine Learning: Science and Technology 3, 025009 (2022),
arXiv:2111.08696) is beta F / n of indistinguishable particles with the thermal wavelength put equal to sigma:

    beta F / n = -(1/n) ln [Z / (n! sigma^(n d))] = (beta_f + ln n!) / n + d ln sigma.

Three conventions that are met elsewhere: without the n!, beta F / n is smaller by (ln n!) / n, about ln n - 1; with
another thermal wavelength, larger by d ln(wavelength / sigma); with a fixed centre of mass, see
``zoo.exact.einstein_crystal``.
"""

from math import lgamma, log

from zoo.specs.targets.lennard_jones import LennardJonesSpec
from zoo.specs.targets.monatomic_water import MonatomicWaterSpec

SolidSpec = LennardJonesSpec | MonatomicWaterSpec


def published_beta_f_per_particle(beta_f: float, spec: SolidSpec) -> float:
    """Beta F / n of indistinguishable particles, in units where the thermal wavelength is sigma, from beta_f = -ln Z.

    Raises:
        ValueError: a cluster, whose centre of mass is fixed.
    """
    return (beta_f + _log_labellings(spec)) / spec.n + spec.dimension * log(spec.sigma)


def beta_f_of_published(per_particle: float, spec: SolidSpec) -> float:
    """beta_f = -ln Z from a published beta F / n: the inverse of ``published_beta_f_per_particle``.

    Raises:
        ValueError: a cluster, whose centre of mass is fixed.
    """
    return spec.n * (per_particle - spec.dimension * log(spec.sigma)) - _log_labellings(spec)


def _log_labellings(spec: SolidSpec) -> float:
    if spec.sides is None:
        msg = "published free energies of solids were asked for a cluster; a periodic box (density or box) was expected"
        raise ValueError(msg)
    return lgamma(spec.n + 1)
