"""Readers and writers by media type; each is imported on first use, since some bring much with them."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, cast

from service.rest.formats.media_types import ARROW, NPY, NPZ, SAFETENSORS
from service.rest.formats.parted import Array, Buffer, PartedArray
from service.use_cases.off_the_loop import SMALL
from workers.settings import Settings

_MODULES = {NPY: "npy", NPZ: "npz", SAFETENSORS: "safetensors", ARROW: "arrow"}

Reader = Callable[[bytes, frozenset[str], Settings], dict[str, Array]]
Writer = Callable[[Mapping[str, PartedArray], Mapping[str, str]], list[Buffer]]


def read_arrays(media_type: str, data: bytes, known: frozenset[str], settings: Settings) -> dict[str, Array]:
    """The arrays in a binary body, whose names are among ``known``; raises as the reader of its format does."""
    return cast("Reader", _module(media_type).read)(data, known, settings)


def write_arrays(media_type: str, arrays: Mapping[str, PartedArray], metadata: Mapping[str, str]) -> list[Buffer]:
    """The bytes of a binary answer; ``metadata`` where the format has a place for it."""
    return cast("Writer", _module(media_type).write)(arrays, metadata)


def effort(media_type: str, size: int) -> int:
    """``size`` bytes of a format as work: loading what reads Arrow takes long even where there are few."""
    return max(size, SMALL + 1) if media_type == ARROW else size


def _module(media_type: str) -> Any:  # noqa: ANN401 - one of several modules alike
    return import_module(f"service.rest.formats.{_MODULES[media_type]}")
