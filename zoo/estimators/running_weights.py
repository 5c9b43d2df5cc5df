"""Free energies from log-weights that come in parts: errors at any time, in memory that does not grow."""

from math import ceil, exp, inf, log, sqrt

import numpy as np

from zoo.estimators.weights import Vector, as_vector
from zoo.specs.errors import NumericalError

MOST_AT_ONCE = 16
"""Times as many samples as there are: errors of few samples are themselves uncertain."""
_SURPLUS = 1.02  # so that most often one further look is enough


class RunningWeights:
    """Sums over w and ln w of what has been added, relative to the largest weight so far, in float64.

    With n samples, S_k = sum_i w_i^k and the mean l of ln w,

        importance:   beta_f = -ln(S_1 / n),   standard_error = sqrt((n S_2 / S_1^2 - 1) / (n - 1)),
        variational:  beta_f = -l,             standard_error = std(ln w) / sqrt(n),

    the same numbers as ``importance_beta_f`` and ``variational_beta_f`` of all log-weights together.
    """

    def __init__(self) -> None:
        self.num_samples = 0
        self._largest = -inf
        self._sum = 0.0
        self._squares = 0.0
        self._mean_log = 0.0
        self._deviations = 0.0  # sum of (ln w - l)^2

    def add(self, log_weights: Vector) -> None:
        """Further samples; a log-weight of -inf is one of zero target probability.

        Raises:
            InvalidValueError: not one axis.
            NumericalError: NaN or +inf.
        """
        lw = as_vector(log_weights, "log_weights")
        if (np.isnan(lw) | (lw == inf)).any():
            msg = "NaN or +inf among log-weights"
            raise NumericalError(msg)
        self._add_logs(lw)
        if (largest := float(lw.max())) > self._largest:
            shrunk = exp(self._largest - largest) if self.num_samples else 0.0
            self._sum, self._squares, self._largest = self._sum * shrunk, self._squares * shrunk**2, largest
        if self._largest > -inf:
            w = np.exp(lw - self._largest)
            self._sum += float(w.sum())
            self._squares += float((w * w).sum())
        self.num_samples += len(lw)

    def beta_f(self, method: str) -> float:
        """The estimate by ``importance`` or ``variational``; +inf while no sample has any weight."""
        if method == "variational":
            return -self._mean_log
        return log(self.num_samples / self._sum) - self._largest if self._sum > 0 else inf

    def standard_error(self, method: str) -> float:
        """Its standard error; +inf while it cannot be told."""
        n = self.num_samples
        if n < 2 or self._sum == 0:
            return inf
        if method == "variational":
            return sqrt(self._deviations / (n - 1) / n) if np.isfinite(self._deviations) else inf
        return sqrt(max(n * self._squares / self._sum**2 - 1, 0.0) / (n - 1))

    def _add_logs(self, lw: np.ndarray) -> None:
        """Mean and spread of two sets of numbers together (Chan, Golub, LeVeque 1983)."""
        if np.isneginf(lw).any() or self._mean_log == -inf:
            self._mean_log, self._deviations = -inf, inf
            return
        n, m = self.num_samples, len(lw)
        shift = float(lw.mean()) - self._mean_log
        self._deviations += float(((lw - lw.mean()) ** 2).sum()) + shift**2 * n * m / (n + m)
        self._mean_log += shift * m / (n + m)


def samples_for(num_samples: int, standard_error: float, target: float) -> int:
    """How many samples bring an error that falls as 1 / sqrt(n) from ``standard_error`` down to ``target``.

    More than ``num_samples``, and at most 16 times as many: then one looks again.
    """
    most = MOST_AT_ONCE * num_samples
    wanted = num_samples * _SURPLUS * (standard_error / target) ** 2 if standard_error < inf else inf
    return max(num_samples + 1, most if wanted >= most else ceil(wanted))
