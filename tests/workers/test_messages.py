"""Messages: what is packed on one side is what comes out on the other."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from workers.messages import (
    Reply,
    Request,
    decode_reply,
    decode_request,
    encode,
    error_fields,
    error_from_fields,
    pack,
    unpack,
)
from zoo.specs import errors
from zoo.specs.errors import FieldError, HelmholtzError, UnavailableError

DTYPES = ["?", "i1", "u1", "<i2", ">i2", "<i4", "<i8", ">i8", "<u8", "<f2", "<f4", "<f8", ">f8", "<c8", "<c16"]
SHAPES = [(), (0,), (3,), (0, 4), (2, 0, 3), (2, 3), (1, 2, 3, 4)]

OUR_ERRORS = [
    e for _, e in inspect.getmembers(errors, inspect.isclass) if issubclass(e, HelmholtzError) and e.__module__
]


def assert_same(came: NDArray[np.generic], sent: NDArray[np.generic]) -> None:
    assert (came.dtype, came.shape) == (sent.dtype, sent.shape)
    assert came.tobytes() == sent.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_arrays_survive(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(-5, 5, shape).astype(dtype)
    assert_same(unpack(pack({"deep": [array]}))["deep"][0], array)


def test_the_layout_in_memory_does_not_matter() -> None:
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    for view in (base.T, base[::2, ::-1], np.asfortranarray(base), base[:, 1:3], np.broadcast_to(base[0], (3, 6))):
        assert_same(unpack(pack(view)), view)


@settings(deadline=None, max_examples=60, derandomize=True, database=None)
@given(array=npst.arrays(npst.scalar_dtypes(), npst.array_shapes(min_dims=0, max_dims=3, min_side=0)))
def test_any_array_survives(array: NDArray[np.generic]) -> None:
    assert_same(unpack(pack(array)), array)


def test_numpy_scalars_become_numbers() -> None:
    values = [np.float64(1.5), np.float32(0.5), np.int8(-1), np.bool_(True)]  # noqa: FBT003 - numpy's constructor
    assert unpack(pack(values)) == [1.5, 0.5, -1, True]


@pytest.mark.parametrize("value", [object(), {1, 2}, np.array([None]), np.array(["a", 1], dtype=object)])
def test_what_cannot_travel_is_refused_by_its_sender(value: object) -> None:
    with pytest.raises(TypeError, match="cannot travel"):
        pack({"x": value})


def test_requests_and_replies_survive() -> None:
    request = Request("id", "stream", 1.7e9, "sample", {"n": 3, "seed": 2**63, "include": ["log_prob"], "none": None})
    assert decode_request(encode(request)) == request
    reply = Reply("id", 4, final=True, body={"compute_seconds": 0.25})
    assert decode_reply(encode(reply)) == reply


@pytest.mark.parametrize("error_class", OUR_ERRORS)
def test_every_error_survives(error_class: type[HelmholtzError]) -> None:
    fields = (FieldError("a.b", "is wrong", "right"), FieldError("c", "is missing"))
    plain = issubclass(error_class, UnavailableError)
    sent = error_class("what; why", reason="SOME_REASON") if plain else error_class("what; why", errors=fields)
    came = error_from_fields(unpack(pack(error_fields(sent))))
    assert type(came) is error_class
    assert (came.detail, came.reason, came.errors) == (sent.detail, sent.reason, sent.errors)


def test_an_error_is_rebuilt_with_its_own_reason() -> None:
    sent = errors.NotFoundError("no such model", reason="MODEL_NOT_FOUND")
    assert error_from_fields(error_fields(sent)).reason == "MODEL_NOT_FOUND"
