"""What every exact method returns: ln Z and the first two cumulants of the reduced energy."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cumulants:
    """Cumulants of u = beta E under p = exp(-u) / Z: all three are dimensionless and extensive.

    With Z(t) = sum exp(-t u):  mean = <u> = -d ln Z / dt and variance = <u^2> - <u>^2 = d^2 ln Z / dt^2, both at t = 1.
    So the energy is mean / beta, and the heat capacity beta^2 var(E), with k_B = 1, is the variance itself.
    """

    log_z: float
    mean: float
    variance: float
