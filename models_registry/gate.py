"""The physics gate: what an alias may move to without being forced.

By the Gibbs-Bogoliubov-Feynman principle <beta E + ln q>_q >= beta_f for every q, so of two models of one target the
one with the lower variational beta_f is the better.  Of two models learnt from the same data it is the one that gives
data it has not seen the larger likelihood: -<ln q> is the entropy of the data's distribution and KL(data || q), by
Gibbs' inequality; and of two that learnt the density of one teacher the one with the smaller KL(q || teacher).  A
difference counts beyond ``SIGMAS`` of its standard error.
"""

import math
from dataclasses import dataclass
from typing import Final

from models_registry.records import VersionRecord

SIGMAS: Final = 3.0


def refusal(candidate: VersionRecord, current: VersionRecord) -> str | None:
    """Why the alias on ``current`` must not move to ``candidate``, or None when it may.

    Refused are another target or other data; a variational beta_f, or where there is no target a negative
    log-likelihood of held-out data, that is higher by more than 3 sqrt(s1^2 + s2^2); and a candidate without the number
    that the current version has.  An error that was not reported counts as 0.
    """
    new, old = f"version {candidate.version}", f"version {current.version}"
    if candidate.target_digest != current.target_digest:
        return _other_origin(candidate, current)
    present = _merit(current)
    if present is None:
        return None
    found = _merit(candidate)
    if found is None:
        return f"{new} has no {present.words}, and {old} has {present}"
    sigma = math.hypot(found.standard_error or 0.0, present.standard_error or 0.0)
    if found.value - present.value <= SIGMAS * sigma:
        return None
    return (
        f"the {present.words} of {new}, {found}, is higher (worse) than that of {old}, {present}, by more than "
        f"{SIGMAS:g} combined standard errors"
    )


@dataclass(frozen=True)
class _Merit:
    """What versions of one target, or of one dataset, are compared by; the lowest is the best."""

    words: str
    value: float
    standard_error: float | None

    def __str__(self) -> str:
        return f"{self.value:.8g}" + ("" if self.standard_error is None else f" +- {self.standard_error:.2g}")


_BETA_F: Final = "variational beta_f"
_NLL: Final = "negative log-likelihood of held-out data"
_KL: Final = "divergence from the teacher"


def _merit(record: VersionRecord) -> _Merit | None:
    """The variational beta_f of a version with a target; without one held-out data's likelihood, or the teacher's."""
    return _held_out(record) or _to_teacher(record) if record.target is None else _beta_f(record)


def _beta_f(record: VersionRecord) -> _Merit | None:
    value = _finite(record, "variational_beta_f")
    return None if value is None else _Merit(_BETA_F, value, _finite(record, "standard_error"))


def _held_out(record: VersionRecord) -> _Merit | None:
    """-<ln q>; of models of each class that of all classes together, since the others are not told the class."""
    for name in ("held_out_marginal", "held_out"):
        value = _finite(record, f"{name}_nll")
        if value is not None:
            return _Merit(_NLL, value, _finite(record, f"{name}_standard_error"))
    return None


def _to_teacher(record: VersionRecord) -> _Merit | None:
    """KL(q || teacher), of versions that learnt one density."""
    value = _finite(record, "kl_to_teacher")
    return None if value is None else _Merit(_KL, value, _finite(record, "kl_to_teacher_standard_error"))


def _other_origin(candidate: VersionRecord, current: VersionRecord) -> str:
    new, old = f"version {candidate.version}", f"version {current.version}"
    if candidate.target is not None and current.target is not None:
        return f"{new} was trained on another target than {old}"
    if candidate.target is None and current.target is None:
        return f"{new} was learnt from other data than {old}"
    (with_target, without) = (new, old) if current.target is None else (old, new)
    return f"{with_target} was trained on a target and {without} was learnt from data alone; they cannot be compared"


def _finite(record: VersionRecord, name: str) -> float | None:
    value = record.metrics.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
