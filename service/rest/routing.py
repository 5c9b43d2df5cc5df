"""Routers whose path parameters exclude ``:``, which begins a verb: ``/v1/models/{model:segment}:sample``."""

from fastapi import APIRouter
from starlette.convertors import Convertor, register_url_convertor


class _Segment(Convertor[str]):
    """A part of a path without ``/`` and without ``:``."""

    regex = "[^/:]+"

    def convert(self, value: str) -> str:
        """The segment itself."""
        return value

    def to_string(self, value: str) -> str:
        """The segment itself."""
        return value


def make_router(prefix: str, tag: str) -> APIRouter:
    """A router that knows the path convertor ``segment``."""
    register_url_convertor("segment", _Segment())
    return APIRouter(prefix=prefix, tags=[tag])
