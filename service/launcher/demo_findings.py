"""What the demo found out, and whether it is as it should be."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from helmholtz import FreeEnergyResult, Point
from zoo.specs.targets.ising import IsingSpec

MAX_DEVIATION_SIGMA = 3.0
MAX_DEVIATION = 0.02
MAX_GAP_PER_SITE = 1e-3
MIN_EFFECTIVE_SAMPLE_FRACTION = 0.8


@dataclass(frozen=True)
class Findings:
    """What the service answered, and what it is held against."""

    target: IsingSpec
    loss: list[Point]
    beta: list[Point]
    samples: NDArray[np.generic]
    energies: NDArray[np.float64]
    chain_energies: NDArray[np.float64]
    free_energy: FreeEnergyResult
    samples_per_second: float
    protocols_agree: bool
    likelihood_deviation: float

    @property
    def gap_per_site(self) -> float:
        """Variational bound minus exact beta_f, per site."""
        bound, exact = self.free_energy.upper_bound, self.free_energy.exact
        if bound is None or bound.beta_f is None or exact is None:
            return float("nan")
        return (bound.beta_f - exact.beta_f) / self.target.space.num_sites

    def failures(self) -> list[str]:
        """What is not as it should be."""
        result = self.free_energy
        deviation = abs((result.beta_f or np.nan) - (result.exact.beta_f if result.exact else np.nan))
        checks = {
            f"|beta_f - exact| <= {MAX_DEVIATION}": deviation <= MAX_DEVIATION,
            f"|beta_f - exact| <= {MAX_DEVIATION_SIGMA:g} sigma": abs(result.deviation_in_sigma or np.nan)
            <= MAX_DEVIATION_SIGMA,
            f"variational gap <= {MAX_GAP_PER_SITE:g} per site": self.gap_per_site <= MAX_GAP_PER_SITE,
            f"effective sample fraction >= {MIN_EFFECTIVE_SAMPLE_FRACTION}": (
                result.diagnostics.effective_sample_fraction or 0
            )
            >= MIN_EFFECTIVE_SAMPLE_FRACTION,
            "REST and gRPC answer alike": self.protocols_agree,
            "log_prob of the samples = log-likelihood of them": self.likelihood_deviation <= 1e-5,
        }
        return [name for name, holds in checks.items() if not holds]
