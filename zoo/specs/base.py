"""What every spec is: frozen, closed, strict and finite configuration data."""

from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema

_SCALARS = frozenset({"float", "int", "bool"})
_LISTS = frozenset({"tuple", "list"})


def _make_strict(schema: Any) -> None:  # noqa: ANN401 - a part of a schema: dictionaries, lists and leaves
    if isinstance(schema, dict):
        if schema.get("type") in _SCALARS:
            schema["strict"] = True
        if schema.get("type") in _LISTS:
            schema["fail_fast"] = True  # a million bad elements would be a million errors
        for part in schema.values():
            _make_strict(part)
    elif isinstance(schema, list | tuple):
        for part in schema:
            _make_strict(part)


class Spec(BaseModel):
    """Frozen data that a user wrote: unknown fields and numbers that are not finite are refused.

    Nothing is taken for a number but a number, nor for a truth value but true and false; a whole number is a float too.
    Of a list the first bad element is told.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        """Pydantic's schema, with strict scalars, and lists that are given up at their first bad element.

        Pydantic's own strict mode would refuse a JSON list for a tuple.
        """
        schema = handler(source)
        _make_strict(schema)
        return schema
