"""Query strings: a parameter that no one reads is a mistake that its sender should hear of."""

from collections.abc import Iterator

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant

from zoo.specs.errors import FieldError, InvalidValueError


async def only_known(request: Request) -> None:
    """Nothing, when the route reads every parameter of the query.

    Raises:
        InvalidValueError: it does not, naming those it reads.
    """
    if not request.query_params:
        return
    known = sorted(set(_names(request.scope["route"].dependant)))
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        allowed = ", ".join(known) or "none"
        message = f"is not a parameter of this query; known: {allowed}"
        errors = tuple(FieldError(name[:80], message, allowed) for name in unknown[:16])
        raise InvalidValueError("; ".join(f"{error.path!a} {message}" for error in errors), errors=errors)


def _names(dependant: Dependant) -> Iterator[str]:
    yield from (parameter.alias for parameter in dependant.query_params)
    for inner in dependant.dependencies:
        yield from _names(inner)


ONLY_KNOWN = Depends(only_known)
