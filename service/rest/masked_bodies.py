"""Bodies with configurations and, where some of their sites are unknown, a mask: JSON, or bytes of several formats."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Generic, TypeVar

import numpy as np
from fastapi import Depends, Query, Request

from service.rest.bodies import array_from_json, content_type, read_as, read_bytes
from service.rest.dependencies import AskedByQuery
from service.rest.formats.media_types import BINARY, JSON, NAMING
from service.rest.formats.table import effort, read_arrays
from service.use_cases.off_the_loop import off_the_loop
from service.use_cases.spec_errors import in_json_words
from service.use_cases.specs import parse
from workers.settings import Settings
from zoo.specs.arrays import Array
from zoo.specs.base import Spec
from zoo.specs.errors import FieldError, InvalidValueError, UnsupportedMediaTypeError
from zoo.specs.masks import Mask

OptionsT = TypeVar("OptionsT", bound=Spec)

_WITH_MASK = frozenset({"samples", "mask"})
_NAMING = " or ".join(NAMING)
_BOOLEANS = "nested lists of true and false, true where a site is known"


async def marginal_by_query(
    asked: AskedByQuery,
    proposals: Annotated[int | None, Query(description="Proposals, where it is not in the body")] = None,
    seed: Annotated[int | None, Query(description="Seed, where it is not in the body")] = None,
) -> dict[str, Any]:
    """The fields in the query, as they would be in a JSON body: beside a binary body they travel there."""
    return asked | {name: value for name, value in (("proposals", proposals), ("seed", seed)) if value is not None}


MarginalByQuery = Annotated[dict[str, Any], Depends(marginal_by_query)]


async def likelihood_by_query(
    asked: MarginalByQuery,
    include: Annotated[list[str] | None, Query(description="What to answer beside ln q, as in the body")] = None,
) -> dict[str, Any]:
    """As ``marginal_by_query``, with ``include``."""
    return asked if include is None else asked | {"include": include}


async def completion_by_query(
    asked: MarginalByQuery,
    n: Annotated[
        int | None, Query(description="Completions of each configuration, where it is not in the body")
    ] = None,
) -> dict[str, Any]:
    """As ``marginal_by_query``, with ``n``."""
    return asked if n is None else asked | {"n": n}


LikelihoodByQuery = Annotated[dict[str, Any], Depends(likelihood_by_query)]
CompletionByQuery = Annotated[dict[str, Any], Depends(completion_by_query)]


@dataclass(frozen=True)
class MaskedBody(Generic[OptionsT]):
    """What came: the other fields, the configurations, and the mask where there was one."""

    options: OptionsT
    samples: Array
    mask: Mask | None


@dataclass(frozen=True)
class Asked(Generic[OptionsT]):
    """What may come: ``whole`` as JSON, or ``options`` beside bytes of these types with arrays of these names.

    ``query`` has fields of both.
    """

    whole: type[OptionsT]
    options: type[OptionsT]
    query: dict[str, Any]
    binary: tuple[str, ...] = BINARY
    arrays: frozenset[str] = _WITH_MASK


async def read_masked(request: Request, settings: Settings, asked: Asked[OptionsT]) -> MaskedBody[OptionsT]:
    """The body of a request: JSON, or bytes with the fields that are no arrays in the query.

    Raises:
        MalformedError, UnsupportedMediaTypeError, PayloadTooLargeError, LimitExceededError: as the readers do.
        InvalidValueError: a field that is not known or not allowed, or an array that is not one.
    """
    kind = content_type(request)
    if kind == JSON:
        return await read_as(request, settings, partial(_from_json, asked))
    if kind not in asked.binary:
        msg = f"content type {kind!r} is not read here; send {', '.join((JSON, *asked.binary))}"
        raise UnsupportedMediaTypeError(msg)
    options = parse(asked.options, asked.query)
    body = await read_bytes(request, settings)
    arrays = await off_the_loop(effort(kind, len(body)), read_arrays, kind, body, asked.arrays, settings)
    if "samples" not in arrays:
        msg = f"the body has no array 'samples'; arrays named {' and '.join(sorted(asked.arrays))} are read"
        raise InvalidValueError(msg, errors=(FieldError("samples", msg, "an array of this name"),))
    mask = arrays.get("mask")
    return MaskedBody(options, arrays["samples"], None if mask is None else _booleans(mask))


def required_mask(body: MaskedBody[OptionsT]) -> Mask:
    """The mask of a body that needs one.

    Raises:
        InvalidValueError: there is none.
    """
    if body.mask is None:
        msg = f"the mask is missing: it says which sites are known; in JSON a field, in bytes an array of {_NAMING}"
        raise InvalidValueError(f"mask: {msg}", errors=(FieldError("mask", msg, _BOOLEANS),))
    return body.mask


def _from_json(asked: Asked[OptionsT], data: dict[str, Any]) -> MaskedBody[OptionsT]:
    options = parse(asked.whole, asked.query | data)
    mask = data.get("mask")
    samples = data["samples"] if mask is None else _null_as_nan(data["samples"])
    return MaskedBody(options, array_from_json(samples), None if mask is None else _mask_from_json(mask))


def _null_as_nan(level: list[Any]) -> list[Any]:
    """The same lists with NaN, which JSON has not, where null stood."""
    return [_null_as_nan(item) if isinstance(item, list) else np.nan if item is None else item for item in level]


def _mask_from_json(data: list[Any]) -> Mask:
    """The mask in nested lists.

    Raises:
        InvalidValueError: something else than true and false in it, or lists of unequal lengths.
    """
    offender = _first_other(data)
    if offender is not None:
        path, value = offender
        message = f"is {in_json_words(value)}; true or false was expected, true where a site is known"
        raise InvalidValueError(f"mask{path} {message}", errors=(FieldError(f"mask{path}", message, "true or false"),))
    return _booleans(array_from_json(data, "mask"))


def _first_other(level: list[Any]) -> tuple[str, object] | None:
    """Where something else than a boolean stands first, and what it is."""
    for index, item in enumerate(level):
        if isinstance(item, list):
            if (found := _first_other(item)) is not None:
                return f"[{index}]{found[0]}", found[1]
        elif not isinstance(item, bool):
            return f"[{index}]", item
    return None


def _booleans(mask: Array) -> Mask:
    if mask.dtype != np.bool_:
        message = f"has dtype {mask.dtype}; booleans were expected, true where a site is known"
        raise InvalidValueError(f"mask {message}", errors=(FieldError("mask", message, _BOOLEANS),))
    return np.asarray(mask, dtype=np.bool_)
