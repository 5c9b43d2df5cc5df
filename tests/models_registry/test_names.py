"""Names are exactly the ones of the contract."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models_registry.names import validate_alias_name, validate_model_name
from zoo.specs.errors import InvalidValueError

NEAR_NAMES = st.text("ab9.-_ A\n\u0663", max_size=8) | st.text(max_size=70) | st.text("a-", min_size=60, max_size=66)


@settings(deadline=None)
@given(NEAR_NAMES)
def test_model_names(name: str) -> None:
    allowed = re.search(r"\A[a-z0-9][a-z0-9._-]{0,62}\Z", name, re.ASCII) is not None
    assert accepted(validate_model_name, name) == allowed


@settings(deadline=None)
@given(NEAR_NAMES)
def test_alias_names(name: str) -> None:
    allowed = re.search(r"\A[a-z][a-z0-9-]{0,62}\Z", name, re.ASCII) is not None and name != "latest"
    assert accepted(validate_alias_name, name) == allowed


def accepted(validate: Callable[[str], str], name: str) -> bool:
    try:
        return validate(name) == name
    except InvalidValueError:
        return False


@settings(deadline=None)
@given(NEAR_NAMES.filter(lambda name: not accepted(validate_model_name, name)))
def test_a_refusal_shows_the_name_without_its_control_characters(name: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        validate_model_name(name)
    assert caught.value.detail.isascii()
    assert caught.value.detail.isprintable()


def test_a_line_break_at_the_end_is_not_overlooked() -> None:
    """``re.match`` with ``$`` would accept it."""
    assert re.match(r"^[a-z]+$", "name\n")
    assert not accepted(validate_model_name, "name\n")
    assert not accepted(validate_alias_name, "name\n")


def test_latest_is_reserved_with_a_reason() -> None:
    with pytest.raises(InvalidValueError, match="reserved: it always means the newest version"):
        validate_alias_name("latest")
