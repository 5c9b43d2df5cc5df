"""What every exact method returns: ln Z and the first two cumulants of the reduced energy."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64


@dataclass(frozen=True)
class Cumulants:
    """Cumulants of u = beta E under p = exp(-u) / Z: all three are dimensionless and extensive.

    With Z(t) = sum exp(-t u):  mean = <u> = -d ln Z / dt and variance = <u^2> - <u>^2 = d^2 ln Z / dt^2, both at t = 1.
    So the energy is mean / beta, and the heat capacity beta^2 var(E), with k_B = 1, is the variance itself.
    """

    log_z: float
    mean: float
    variance: float

    def observables(self, beta: float, num_sites: int) -> dict[str, float]:
        """``energy_per_site`` <E> / N and ``heat_capacity_per_site`` beta^2 var(E) / N.

        At beta = 0, where only u is known, the energy is given as 0, as -0.0 always is.  A variance below 0, by
        rounding, is given as 0.
        """
        return {
            "energy_per_site": self.mean / (beta * num_sites) + 0.0 if beta > 0 else 0.0,
            "heat_capacity_per_site": max(0.0, self.variance) / num_sites,
        }


def cumulants_of_levels(u: Float64[np.ndarray, "..."], log_counts: Float64[np.ndarray, "..."] | float) -> Cumulants:
    """Ln Z, mean and variance of Z = sum_k exp(log_counts_k - u_k): levels u with their logarithmic multiplicities."""
    exponent = log_counts - u
    top = float(exponent.max())
    weight = np.exp(exponent - top)
    total = float(weight.sum())
    mean = float((weight * u).sum()) / total
    return Cumulants(top + float(np.log(total)), mean, float((weight * (u - mean) ** 2).sum()) / total)
