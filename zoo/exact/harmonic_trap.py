"""Independent particles in a harmonic trap, in closed form.

E = k/2 sum_i |x_i|^2 is a sum over nd Gaussian coordinates of variance 1 / (beta k):

    ln Z = (n d / 2) ln(2 pi / (beta k)),      <beta E> = var(beta E) = n d / 2,
    <sum_i |x_i|^2> = n d / (beta k),          <sum_i |x_i|^4> = n d (d + 2) / (beta k)^2,

the last two from the second and fourth moments of a Gaussian (any textbook on statistical mechanics, equipartition).
"""

from math import log, pi

from zoo.exact.cumulants import Cumulants


def trap_cumulants(num_coordinates: int, beta_spring: float) -> Cumulants:
    """Ln Z with mean and variance of u = beta_spring x^2 / 2 summed over Gaussian coordinates, beta_spring > 0."""
    half = num_coordinates / 2
    return Cumulants(half * log(2 * pi / beta_spring), half, half)


def trap_radii(num_particles: int, dimension: int, beta_spring: float) -> dict[str, float]:
    """``sum_r_squared`` and ``sum_r_fourth`` of independent particles, in the unit of length to the 2nd and 4th."""
    n, d = num_particles, dimension
    return {"sum_r_squared": n * d / beta_spring, "sum_r_fourth": n * d * (d + 2) / beta_spring**2}
