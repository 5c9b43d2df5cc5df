"""The physics gate: what an alias may move to without being forced.

By the Gibbs-Bogoliubov-Feynman principle <beta E + ln q>_q >= beta_f for every q, so of two models of one target the
one with the lower variational beta_f is the better; a difference counts beyond ``SIGMAS`` of its standard error.
"""

import math
from typing import Final

from models_registry.records import VersionRecord

SIGMAS: Final = 3.0


def refusal(candidate: VersionRecord, current: VersionRecord) -> str | None:
    """Why the alias on ``current`` must not move to ``candidate``, or None when it may.

    Refused are another target; a variational beta_f that is higher by more than 3 sqrt(s1^2 + s2^2); and a candidate
    without one where the current version has one.  An error that was not reported counts as 0.
    """
    new, old = f"version {candidate.version}", f"version {current.version}"
    if candidate.target_digest != current.target_digest:
        return f"{new} was trained on another target than {old}"
    old_beta_f = _finite(current, "variational_beta_f")
    if old_beta_f is None:
        return None
    new_beta_f = _finite(candidate, "variational_beta_f")
    if new_beta_f is None:
        return f"{new} has no variational beta_f, and {old} has {_shown(current, old_beta_f)}"
    sigma = math.hypot(_finite(candidate, "standard_error") or 0.0, _finite(current, "standard_error") or 0.0)
    if new_beta_f - old_beta_f <= SIGMAS * sigma:
        return None
    return (
        f"the variational beta_f of {new}, {_shown(candidate, new_beta_f)}, is higher (worse) than that of {old}, "
        f"{_shown(current, old_beta_f)}, by more than {SIGMAS:g} combined standard errors"
    )


def _finite(record: VersionRecord, name: str) -> float | None:
    value = record.metrics.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _shown(record: VersionRecord, beta_f: float) -> str:
    error = _finite(record, "standard_error")
    return f"{beta_f:.8g}" + ("" if error is None else f" +- {error:.2g}")
