"""Equal meaning, equal digest; and different meaning, different digest."""

import hashlib
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models_registry.digests import canonical_digest
from zoo.specs.errors import InvalidValueError

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=10
)


def test_the_canonical_text_is_what_it_says() -> None:
    text = '{"a":[1,0.1,null,true],"shape":[8,8],"ü":"ü"}'
    value = {"ü": "ü", "shape": (8, 8), "a": [1.0, 0.1, None, True]}
    assert canonical_digest(value) == hashlib.sha256(text.encode()).hexdigest()


@settings(deadline=None)
@given(VALUES)
def test_a_journey_through_json_changes_nothing(value: object) -> None:
    try:
        digest = canonical_digest(value)
    except InvalidValueError:  # half of a surrogate pair
        return
    assert canonical_digest(json.loads(json.dumps(value, indent=3))) == digest


@settings(deadline=None)
@given(st.dictionaries(st.text("abc"), st.integers(), min_size=2))
def test_order_of_keys_means_nothing(value: dict[str, int]) -> None:
    assert canonical_digest(dict(reversed(value.items()))) == canonical_digest(value)


@pytest.mark.parametrize(("a", "b"), [(1, 1.0), (0.0, -0.0), ([1], (1,)), (2**52, 2.0**52)])
def test_equal(a: object, b: object) -> None:
    assert canonical_digest(a) == canonical_digest(b)


@pytest.mark.parametrize(
    ("a", "b"),
    [(1, True), (0, False), (0, None), ("1", 1), (0.1, 0.1 + 2**-56), ([], {}), ([1, 2], [2, 1]), ("", None)],
)
def test_different(a: object, b: object) -> None:
    assert canonical_digest(a) != canonical_digest(b)


@pytest.mark.parametrize("value", [math.nan, -math.inf, {1: 2}, {1, 2}, b"x", object(), "\ud800"])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(InvalidValueError):
        canonical_digest({"x": [value]})
