"""Draw samples from a version, with what the request wants beside them."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_registry.versions import VersionRecord
from service.context import Context
from service.limits import check_samples
from service.use_cases.check_correction import check_correction
from service.use_cases.resolve import (
    Condition,
    capabilities_of,
    resolve_condition,
    resolve_version,
    space_of,
    target_of,
)
from service.wishes import want_no_cache
from zoo.specs.errors import CapabilityMissingError
from zoo.specs.requests import MAX_SEED, SampleRequest

Part = dict[str, Any]


def seed_or_new(seed: int | None) -> int:
    """The seed that was asked for, or a fresh one that the answer will tell; what a fresh one gives is not cached."""
    if seed is not None:
        return seed
    want_no_cache()
    return secrets.randbelow(MAX_SEED + 1)


@dataclass(frozen=True)
class SampleStream:
    """Samples on their way: which version draws them, with which seed, and the parts in order.

    ``diagnostics`` are filled when the last part has come.
    """

    record: VersionRecord
    condition: Condition
    seed: int
    parts: AsyncGenerator[Part, None]
    diagnostics: Part


async def stream_samples(
    context: Context, model: str, ref: str | None, request: SampleRequest, seconds: float
) -> SampleStream:
    """The stream of samples, nothing computed yet.

    Raises:
        NotFoundError: no such version.
        CapabilityMissingError: another beta than the trained one, energies or a correction without a target, or a
            correction that the family cannot have.
        InvalidValueError: a condition without a value, or far outside its range.
        LimitExceededError: more numbers than one answer may have.
    """
    record = await resolve_version(context, model, ref)
    condition = resolve_condition(record, request.asked)
    if "energy" in request.include:
        target_of(record)
    if "log_prob" in request.include and capabilities_of(record).log_likelihood == "none":
        msg = (
            f"family {record.model_spec['family']!r} has no likelihood to include; leave 'log_prob' out, and take "
            "correction 'importance' for weights"
        )
        raise CapabilityMissingError(msg)
    check_correction(record, request.correction)
    check_samples(request.n, space_of(record), context.settings)
    seed = seed_or_new(request.seed)
    operation, payload = sample_question(record, request)
    payload |= {"seed": seed, "condition": condition.values, "include": list(request.include)}
    diagnostics: Part = {"num_samples": request.n, "independent": True, "warnings": []}
    parts = _told(context.engine.ask(operation, payload, seconds), diagnostics, condition)
    return SampleStream(record, condition, seed, parts, diagnostics)


def sample_question(record: VersionRecord, request: SampleRequest) -> tuple[str, Part]:
    """The engine's operation, and of its payload what the cost depends on."""
    payload: Part = {"model": record.model, "version": record.version, "n": request.n}
    if request.correction == "none":
        return "sample", payload
    return "sample_corrected", payload | {"correction": request.correction}


async def _told(
    parts: AsyncGenerator[Part, None], diagnostics: Part, condition: Condition
) -> AsyncGenerator[Part, None]:
    """The parts as they come, some without rows; ``diagnostics`` learns what the engine says of the samples."""
    diagnostics["warnings"] = list(condition.warnings)
    async with aclosing(parts):
        async for part in parts:
            if (found := part.get("diagnostics")) is not None:
                diagnostics |= found | {"warnings": [*condition.warnings, *found["warnings"]]}
            yield part


@dataclass(frozen=True)
class Samples:
    """Samples with the version and seed they come from.

    ``parted`` has ``samples`` and what was included, each array in the parts in which it came.
    """

    record: VersionRecord
    condition: Condition
    seed: int
    parted: dict[str, tuple[NDArray[np.generic], ...]]
    compute_seconds: float
    diagnostics: Part = field(default_factory=dict)
    """What is known of the samples as a whole, by name."""

    @property
    def num_samples(self) -> int:
        """Number of configurations."""
        return sum(len(part) for part in self.parted["samples"])

    @property
    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Each array in one piece, which is a copy where it came in several."""
        return {name: in_one(parts) for name, parts in self.parted.items()}


async def draw_samples(
    context: Context, model: str, ref: str | None, request: SampleRequest, seconds: float
) -> Samples:
    """All samples at once; raises as ``stream_samples`` does, and as the engine does."""
    stream = await stream_samples(context, model, ref, request, seconds)
    parts = [part async for part in stream.parts]
    arrays = parted([part for part in parts if "samples" in part])
    return Samples(stream.record, stream.condition, stream.seed, arrays, compute_seconds(parts), stream.diagnostics)


def parted(parts: list[Part]) -> dict[str, tuple[NDArray[np.generic], ...]]:
    """The arrays of all parts by name, each still in its parts."""
    names = [name for name, value in parts[0].items() if isinstance(value, np.ndarray)]
    return {name: tuple(part[name] for part in parts) for name in names}


def joined(parts: list[Part]) -> dict[str, NDArray[np.generic]]:
    """The arrays of all parts, each joined along the first axis."""
    return {name: in_one(arrays) for name, arrays in parted(parts).items()}


def in_one(arrays: tuple[NDArray[np.generic], ...]) -> NDArray[np.generic]:
    """The arrays joined along the first axis; the array itself where it is the only one."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def compute_seconds(parts: list[Part]) -> float:
    """The engine's computing time, which the last part tells."""
    return float(parts[-1]["compute_seconds"])
