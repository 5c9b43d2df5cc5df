"""What every reader of arrays checks, and says, alike."""

from workers.settings import PREFIX, Settings
from zoo.specs.errors import FieldError, InvalidValueError, LimitExceededError


def check_count(count: int, name: str, settings: Settings) -> None:
    """Nothing, when an array of ``count`` numbers is not larger than those that are read here.

    Raises:
        LimitExceededError: it is.
    """
    most = settings.max_sample_values
    if count > most:
        msg = f"{name} has {count} numbers; at most {most} are read here (setting {PREFIX}MAX_SAMPLE_VALUES)"
        raise LimitExceededError(msg, errors=(FieldError("samples", msg, f"at most {most} numbers"),))


def unknown_name(what: str, name: str, known: frozenset[str]) -> InvalidValueError:
    """The error of an array of a name that is not ``known``, where ``what`` has the names."""
    allowed = " and ".join(sorted(known))
    message = f"{what} {name[:80]!a}; arrays named {allowed} are read"
    return InvalidValueError(message, errors=(FieldError("body", message, allowed),))


def no_number(name: str, dtype: str) -> InvalidValueError:
    """The error of an array whose values are not numbers that are read here."""
    message = f"{name} has dtype {dtype[:80]!a}; numbers were expected: booleans, integers, float16 to float64"
    return InvalidValueError(message, errors=(FieldError("samples", message, "a numeric dtype"),))
