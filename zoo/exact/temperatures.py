"""The inverse temperatures at which an exact free energy can be asked for."""

from math import inf, isfinite

from zoo.specs.errors import FieldError, InvalidValueError


def require_temperature(beta: float) -> None:
    """Nothing, for 0 < beta < infinity: at beta = 0 the integral over an unbounded space diverges.

    Raises:
        InvalidValueError: any other beta.
    """
    if not 0 < beta < inf:
        message = f"beta is {beta}; an inverse temperature is greater than 0 and finite"
        raise InvalidValueError(message, errors=(FieldError("beta", message, "0 < beta < infinity"),))


def require_temperature_or_zero_beta(beta: float, *couplings: float) -> None:
    """Nothing, for 0 <= beta < infinity with finite products beta c: on a finite space beta = 0 is the uniform measure.

    Raises:
        InvalidValueError: any other beta.
    """
    if not (0 <= beta < inf and all(isfinite(beta * c) for c in couplings)):
        message = f"beta is {beta}; an inverse temperature is finite and not negative, and so is beta times a coupling"
        raise InvalidValueError(message, errors=(FieldError("beta", message, "0 <= beta < infinity"),))
