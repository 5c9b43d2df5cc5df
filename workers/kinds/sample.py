"""The job kind ``sample``: any number of samples of a version in a file, the same ones as ``:sample`` gives.

An engine draws them tile by tile.  Whole chunks become blobs as they are drawn, which the files of the result are lists
of, so neither the drawing nor the reading has more than a chunk in memory.  A chunk's bytes depend on the job's spec
alone: a job that is killed goes on from its last checkpoint, and ends with the same files.  Corrected samples are drawn
from the beginning again then, since chains and weights are judged as a whole; what was stored is left out.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from models_registry.artifacts import pack, unpack
from models_registry.blobs import BlobStore
from models_registry.composite_files import FileSet
from models_registry.database import Database
from models_registry.versions import VersionRecord, Versions
from workers.compute import choose_device, prepare_thread
from workers.engine.models import WarmModels
from workers.engine.operations import Engine
from workers.engine.tiled import Piece
from workers.engine.tiled import Sample as Drawing
from workers.jobs.lease import Report
from workers.jobs.specs import SampleJobSpec
from workers.kinds.array_files import StoredArray, assembled
from workers.kinds.base import JobContext, Kind, Outcome, StoppedError
from zoo.catalog import AnyModel
from zoo.core.tiles import tile_plan
from zoo.specs.errors import StateConflictError
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.distribution import DistributionSpec

CHUNK_BYTES = 16 * 2**20
"""A chunk has whole tiles, and is full when it has this size; a blob is not larger."""

_SECONDS_BETWEEN_CHECKPOINTS = 30.0
_SECONDS_BETWEEN_REPORTS = 0.25

_MODELS: TypeAdapter[ModelSpec] = TypeAdapter(AnyModel)

Array = NDArray[np.generic]


class Sample(Kind):
    """Draw, chunk by chunk, and leave files behind."""

    def run(self, context: JobContext) -> Outcome:
        """The list of the files in the result; see ``Kind.run``."""
        spec = SampleJobSpec.model_validate(context.spec)
        prepare_thread(context.settings.engine_threads)  # as an engine has them, so that its numbers come
        device = choose_device(context.settings.device if spec.device == "auto" else spec.device)
        database = Database(context.settings.resolved_database_url)
        try:
            versions = Versions(database, context.blobs)
            record = _version(versions, spec)
            chunks = _Chunks.read(context.checkpoints.read_latest())
            reporter = _Reporter(context, spec.n, chunks.num_rows)
            reporter.begin(record)
            diagnostics = _draw(context, spec, Engine(WarmModels(versions, 1, device), device), chunks, reporter)
        finally:
            database.dispose()
        arrays = chunks.stored_arrays()
        files = assembled(arrays, context.blobs, lambda: _pause(context))
        result = _result(spec, record, arrays, files) | {"artifact": files.stored(context.blobs)}
        if diagnostics is not None:
            result |= {"diagnostics": diagnostics, "warnings": [*result["warnings"], *diagnostics["warnings"]]}
        reporter.finished(result)
        return Outcome(result=result)


def _version(versions: Versions, spec: SampleJobSpec) -> VersionRecord:
    """The version that the job was submitted for.

    Raises:
        NotFoundError: it has been deleted.
        StateConflictError: the registry is another one, where the number means other weights.
    """
    record = versions.resolve(spec.model, spec.ref)
    if spec.digest is not None and spec.digest != record.digest:
        msg = (
            f"version {record.version} of {record.model!r} has the digest {record.digest}, and the job was submitted "
            f"for {spec.digest}; submit it again"
        )
        raise StateConflictError(msg, reason="VERSION_CHANGED")
    return record


@dataclass
class _Chunks:
    """What has been drawn: blobs of whole chunks, and the arrays of the chunk that is being filled."""

    num_rows: int = 0
    number: int = 0
    blobs: dict[str, list[str]] = field(default_factory=dict)
    _parts: dict[str, list[Array]] = field(default_factory=dict)

    def add(self, part: Mapping[str, Array]) -> None:
        """The next rows."""
        self.num_rows += len(part["samples"])
        for name, array in part.items():
            self._parts.setdefault(name, []).append(array)
            self.blobs.setdefault(name, [])

    @property
    def num_bytes(self) -> int:
        """Bytes of the chunk that is being filled."""
        return sum(array.nbytes for parts in self._parts.values() for array in parts)

    def store(self, blobs: BlobStore) -> None:
        """Make blobs of the chunk that is being filled, and begin the next one."""
        for name, parts in self._parts.items():
            data = b"".join(np.ascontiguousarray(part).data for part in parts)
            self._parts[name] = [np.empty((0, *parts[0].shape[1:]), parts[0].dtype)]
            for start in range(0, len(data), CHUNK_BYTES):
                self.blobs[name].append(blobs.put(data[start : start + CHUNK_BYTES]))
        self.number += 1

    def stored_arrays(self) -> list[StoredArray]:
        """The arrays in the blobs, all of their chunks being stored."""
        return [
            StoredArray(name, parts[0].dtype.name, (self.num_rows, *parts[0].shape[1:]), tuple(self.blobs[name]))
            for name, parts in self._parts.items()
        ]

    def packed(self) -> bytes:
        """All of it as bytes, for a checkpoint."""
        state = {"num_rows": self.num_rows, "number": self.number, "blobs": self.blobs}
        return pack({name: np.concatenate(parts) for name, parts in self._parts.items()}, state)

    @classmethod
    def read(cls, checkpoint: bytes | None) -> Self:
        """What ``packed`` gave; nothing drawn where there is no checkpoint."""
        if checkpoint is None:
            return cls()
        arrays, state = unpack(checkpoint)
        return cls(**state, _parts={name: [array] for name, array in arrays.items()})


def _draw(
    context: JobContext, spec: SampleJobSpec, engine: Engine, chunks: _Chunks, reporter: "_Reporter"
) -> dict[str, Any] | None:
    """Fill ``chunks`` until all of them are stored; what is known of corrected samples as a whole.

    Raises:
        StoppedError: a stop was requested; a checkpoint has what was drawn.
    """
    written_at, diagnostics = time.monotonic(), None
    parts = _parts(spec, engine, chunks.num_rows)
    while chunks.num_rows < spec.n or (spec.correction != "none" and diagnostics is None):
        if context.stop_requested():
            context.checkpoints.write(chunks.num_rows, chunks.packed())
            raise StoppedError
        part = next(parts)
        diagnostics = part.get("diagnostics")
        if "samples" not in part:
            continue
        chunks.add(part)
        is_full = chunks.num_bytes >= CHUNK_BYTES or chunks.num_rows == spec.n
        if is_full:
            chunks.store(context.blobs)
        if is_full or time.monotonic() - written_at >= _SECONDS_BETWEEN_CHECKPOINTS:
            context.checkpoints.write(chunks.num_rows, chunks.packed())
            written_at = time.monotonic()
        reporter.drawn(chunks.num_rows, chunks.number if is_full else None)
    return diagnostics


def _parts(spec: SampleJobSpec, engine: Engine, begin: int) -> Iterator[dict[str, Any]]:
    """The parts of the engine's answer, their rows from row ``begin`` on, which is the first one of a part."""
    version = int(spec.ref or 0)
    payload = {
        "model": spec.model,
        "version": version,
        "n": spec.n,
        "seed": spec.seed,
        "condition": spec.condition,
        "include": list(spec.include),
    }
    if spec.correction != "none":
        row = 0
        for part in engine.run("sample_corrected", payload | {"correction": spec.correction}):
            rows = 0 if part is None else len(part.get("samples", ()))
            row += rows
            yield {} if part is None or (rows and row <= begin) else part
        return
    operation = Drawing()
    for tile in tile_plan(spec.n, engine.models.largest_tile(spec.model, version)):
        if tile.start >= begin:
            yield engine.run_together(operation, [Piece(payload, tile)])[0]


def _pause(context: JobContext) -> None:
    if context.stop_requested():
        raise StoppedError


def _result(
    spec: SampleJobSpec, record: VersionRecord, arrays: Iterable[StoredArray], files: FileSet
) -> dict[str, Any]:
    """What the job says of its files; ``digest`` and ``size_bytes`` are those of the npz file."""
    npz = files.files["npz"]
    return {
        "model": record.model,
        "version": record.version,
        "version_digest": record.digest,
        "digest": npz.digest,
        "n": spec.n,
        "seed": spec.seed,
        "size_bytes": npz.size_bytes,
        "arrays": {array.name: {"shape": list(array.shape), "dtype": array.dtype} for array in arrays},
        "warnings": _warnings(record, spec.condition),
    } | ({"condition": spec.condition} if spec.condition else {})


def _warnings(record: VersionRecord, condition: Mapping[str, float]) -> list[str]:
    """Which conditions lie a little outside the ranges that the model was trained on."""
    model = _MODELS.validate_python(record.model_spec)
    ranges = model.condition_on.ranges if isinstance(model, DistributionSpec) else {}
    return [
        f"{name} = {condition[name]:g} is outside the range {low:g} to {high:g} that the model was trained on; "
        "nothing was learnt there"
        for name, (low, high) in ranges.items()
        if not low <= condition.get(name, low) <= high
    ]


@dataclass
class _Reporter:
    """Turns rows into progress and a rate."""

    context: JobContext
    num_samples: int
    start: int
    _began: float = field(default_factory=time.monotonic)
    _reported: float = float("-inf")

    def begin(self, record: VersionRecord) -> None:
        """The first line of the log."""
        line = f"{self.num_samples} samples of version {record.version} of {record.model!r}"
        if self.start:
            line += f"; {self.start} of them were drawn before, and it goes on from there"
        self.context.report(Report(progress=self._progress(self.start), lines=(line,)))

    def drawn(self, rows: int, chunk: int | None) -> None:
        """So many rows there are; ``chunk`` is the number of the one that they filled, if they did."""
        now = time.monotonic()
        if chunk is None and now - self._reported < _SECONDS_BETWEEN_REPORTS:
            return
        self._reported = now
        rate = (rows - self.start) / max(now - self._began, 1e-9)
        points = () if chunk is None else (("samples_per_second", chunk, rate),)
        metrics = {"step": rows, "samples_per_second": rate}
        self.context.report(Report(progress=self._progress(rows), metrics=metrics, points=points))

    def finished(self, result: dict[str, Any]) -> None:
        """The end, and what there is to fetch."""
        line = f"{result['n']} samples in a file of {result['size_bytes']} bytes, sha256 {result['digest']}"
        progress = self._progress(self.num_samples) | {"fraction": 1.0, "eta_seconds": 0.0}
        self.context.report(Report(progress=progress, lines=(line,)))

    def _progress(self, rows: int) -> dict[str, Any]:
        made = rows - self.start
        passed = time.monotonic() - self._began
        return {
            "step": rows,
            "max_steps": self.num_samples,
            "fraction": min(rows / self.num_samples, 0.999),  # the files are put together after the last row
            "eta_seconds": (self.num_samples - rows) * passed / made if made else None,
        }
