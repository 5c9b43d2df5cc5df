"""The job kind ``sample``: an engine's samples, in files that depend on the spec alone, with a chunk in memory."""

import hashlib
import os
import signal
import threading
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import safetensors.numpy
import torch
from numpy.typing import NDArray

from models_registry.composite_files import FileSet
from models_registry.database import Database
from models_registry.records import VersionRecord
from tests.workers.job_cases import LEASE, SHORT_LEASE, history, read
from tests.workers.tiny_models import TinyRegistry
from workers.engine.models import WarmModels
from workers.engine.operations import Engine
from workers.jobs.lease import Claim, LeaseLostError, Report, claim_next
from workers.jobs.specs import SampleJobSpec
from workers.jobs.submission import request_cancel, submit
from workers.kinds import sample
from workers.kinds.base import JobContext, Outcome, StoppedError
from workers.kinds.sample import Sample
from workers.settings import Settings
from workers.trainer.checkpoints import CheckpointFolder
from workers.trainer.supervisor import Supervisor, _Child
from zoo.specs.errors import CorruptArtifactError, NotFoundError, StateConflictError

CPU = torch.device("cpu")
ALL = ("log_prob", "energy")
SMALL_CHUNK = 2**17

Run = Callable[..., Outcome]


def spec(n: int, **changes: Any) -> SampleJobSpec:  # noqa: ANN401 - fields of a spec
    fields = {"model": "made", "ref": "1", "n": n, "seed": 11, "include": list(ALL)}
    return SampleJobSpec.model_validate(fields | changes)


@pytest.fixture
def version(registry: TinyRegistry) -> VersionRecord:
    return registry.publish("made")


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 3,277 rows and a little, so that small jobs have several."""
    monkeypatch.setattr(sample, "CHUNK_BYTES", SMALL_CHUNK)


@pytest.fixture
def reports() -> list[Report]:
    """What the job has told."""
    return []


@pytest.fixture
def run(registry: TinyRegistry, version: VersionRecord, tmp_path: Path, reports: list[Report]) -> Run:
    """Runs a job of a spec in this process; it is asked to stop after that many tiles."""

    def once(job: SampleJobSpec, folder: str = "checkpoints", stop_after: float = float("inf")) -> Outcome:
        asked = 0

        def stop_requested() -> bool:
            nonlocal asked
            asked += 1
            return asked > stop_after

        context = JobContext(
            job_id="j1",
            spec=job.model_dump(mode="json"),
            settings=Settings(engine_threads=1, data_dir=tmp_path),
            checkpoints=CheckpointFolder(tmp_path / folder),
            blobs=registry.blobs,
            report=reports.append,
            stop_requested=stop_requested,
        )
        return Sample().run(context)

    return once


def file_of(outcome: Outcome, registry: TinyRegistry, file_format: str = "npz") -> bytes:
    """All bytes of a result, checked against what the list says of them."""
    file = FileSet.read(outcome.result["artifact"], registry.blobs).files[file_format]
    data = b"".join(file.pieces(registry.blobs))
    assert (len(data), hashlib.sha256(data).hexdigest()) == (file.size_bytes, file.digest)
    return data


def arrays_of(outcome: Outcome, registry: TinyRegistry, folder: Path) -> dict[str, NDArray[Any]]:
    """What numpy reads in the npz file."""
    path = folder / "result.npz"
    path.write_bytes(file_of(outcome, registry))
    with np.load(path, allow_pickle=False) as loaded:
        return {name: loaded[name] for name in loaded.files}


@pytest.mark.parametrize("n", [1, 33, 5000])
@pytest.mark.parametrize("include", [(), ("log_prob",), ("energy",), ALL])
@pytest.mark.usefixtures("small_chunks")
def test_the_arrays_are_those_of_an_engine(
    run: Run, registry: TinyRegistry, tmp_path: Path, n: int, include: tuple[str, ...]
) -> None:
    arrays = arrays_of(run(spec(n, include=list(include))), registry, tmp_path)
    engine = Engine(WarmModels(registry.versions, 1, CPU), CPU)
    asked = {"model": "made", "version": 1, "n": n, "seed": 11, "include": list(include)}
    parts = [part for part in engine.run("sample", asked) if part is not None]
    assert set(arrays) == set(parts[0])
    for name, array in arrays.items():
        expected = np.concatenate([part[name] for part in parts])
        assert (array.dtype, array.shape) == (expected.dtype, expected.shape)
        assert array.tobytes() == expected.tobytes(), name


@pytest.mark.usefixtures("small_chunks")
def test_both_formats_hold_the_same_and_are_read_by_other_programs(
    run: Run, registry: TinyRegistry, tmp_path: Path
) -> None:
    outcome = run(spec(7000))
    arrays = arrays_of(outcome, registry, tmp_path)
    tensors = safetensors.numpy.load(file_of(outcome, registry, "safetensors"))
    assert set(tensors) == set(arrays) == {"samples", "log_prob", "energy", "log_weight"}
    for name, array in arrays.items():
        assert array.tobytes() == tensors[name].tobytes()
        assert outcome.result["arrays"][name] == {"shape": list(array.shape), "dtype": array.dtype.name}
    with ZipFile(tmp_path / "result.npz") as archive:
        assert archive.testzip() is None
    result = outcome.result
    assert result["size_bytes"] == (tmp_path / "result.npz").stat().st_size
    assert result["digest"] == hashlib.sha256((tmp_path / "result.npz").read_bytes()).hexdigest()
    assert (result["model"], result["version"], result["n"], result["seed"]) == ("made", 1, 7000, 11)


@pytest.mark.usefixtures("small_chunks")
def test_a_job_that_is_stopped_goes_on_where_it_was_and_ends_with_the_same_bytes(
    run: Run, registry: TinyRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reports: list[Report]
) -> None:
    whole = run(spec(20_001), folder="never stopped")
    computed: list[int] = []
    run_together = Engine.run_together

    def counted(self: Engine, operation: Any, pieces: Any) -> Any:  # noqa: ANN401 - passed on
        computed.append(pieces[0].tile.start)
        return run_together(self, operation, pieces)

    monkeypatch.setattr(Engine, "run_together", counted)
    for tiles in (1, 2, 4):
        with pytest.raises(StoppedError):
            run(spec(20_001), stop_after=tiles)
    reports.clear()
    outcome = run(spec(20_001))
    assert len(computed) == len(set(computed)), "no tile was drawn twice"
    assert outcome.result == whole.result
    assert file_of(outcome, registry) == file_of(whole, registry)
    assert any("14336 of them were drawn before" in line for report in reports for line in report.lines)


@pytest.mark.usefixtures("small_chunks")
def test_progress_and_the_rate_are_told(run: Run, reports: list[Report]) -> None:
    run(spec(20_000))
    told = [report.progress for report in reports if report.progress]
    fractions = [progress["fraction"] for progress in told]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0, 1)
    assert told[-1] == {"step": 20_000, "max_steps": 20_000, "fraction": 1.0, "eta_seconds": 0.0}
    assert all(progress["eta_seconds"] > 0 for progress in told[1:-2])
    series = [point for report in reports for point in report.points]
    assert [(name, step) for name, step, _ in series] == [("samples_per_second", k) for k in range(1, len(series) + 1)]
    assert len(series) > 3
    assert all(value > 0 for _, _, value in series)


@pytest.mark.usefixtures("small_chunks")
def test_memory_holds_a_chunk_and_not_the_file(run: Run, registry: TinyRegistry) -> None:
    run(spec(100), folder="warm")  # imports
    tracemalloc.start()
    try:
        outcome = run(spec(200_000))
        drawing = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        file = FileSet.read(outcome.result["artifact"], registry.blobs).files["npz"]
        size = sum(len(piece) for piece in file.pieces(registry.blobs))
        reading = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == outcome.result["size_bytes"] > 8_000_000
    assert drawing < 3_000_000
    assert reading < 3_000_000


def test_another_version_than_the_one_submitted_for_is_refused(run: Run, version: VersionRecord) -> None:
    assert run(spec(5, digest=version.digest)).result["version_digest"] == version.digest
    with pytest.raises(StateConflictError, match="submit it again") as caught:
        run(spec(5, digest="0" * 64))
    assert caught.value.reason == "VERSION_CHANGED"
    with pytest.raises(NotFoundError, match="no version '2'"):
        run(spec(5, ref="2"))


def test_a_condition_outside_its_range_is_told(version: VersionRecord) -> None:
    model = version.model_spec | {"condition_on": {"beta": [0.2, 0.6]}}
    conditioned = version.model_copy(update={"model_spec": model})
    assert sample._warnings(version, {}) == sample._warnings(conditioned, {"beta": 0.6}) == []
    (warning,) = sample._warnings(conditioned, {"beta": 0.62})
    assert "beta = 0.62 is outside the range 0.2 to 0.6" in warning


@pytest.mark.usefixtures("small_chunks")
def test_damaged_bytes_are_not_given(run: Run, registry: TinyRegistry) -> None:
    outcome = run(spec(9000))
    file = FileSet.read(outcome.result["artifact"], registry.blobs).files["npz"]
    digests = [part.blob for part in file.parts if part.blob]
    (path,) = (p for p in registry.folder.rglob(digests[-1]) if p.is_file())
    data = bytearray(path.read_bytes())
    data[7] ^= 1
    path.write_bytes(data)
    given: list[memoryview] = []
    with pytest.raises(CorruptArtifactError):
        given.extend(file.pieces(registry.blobs))
    assert run(spec(9000), folder="again").result == outcome.result, "a damaged blob is replaced when it is drawn again"
    assert len(file_of(outcome, registry)) == file.size_bytes


@pytest.fixture
def supervisor(jobs_database: Database, version: VersionRecord, tmp_path: Path) -> Supervisor:
    settings = Settings(
        data_dir=tmp_path, artifact_url=(tmp_path / "artifacts").as_uri(), lease_seconds=LEASE, engine_threads=1
    )
    return Supervisor(settings, jobs_database)


def claimed(database: Database, lease_seconds: float = LEASE) -> Claim:
    claim = claim_next(database, lease_seconds, frozenset({"sample"}))
    assert claim is not None
    return claim


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def children(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> list[_Child]:
    """The processes that the supervisor has started."""
    started: list[_Child] = []
    start = supervisor._start

    def remembered(claim: Claim) -> _Child:
        started.append(start(claim))
        return started[-1]

    monkeypatch.setattr(supervisor, "_start", remembered)
    return started


def test_a_process_that_is_killed_is_followed_by_one_that_ends_with_the_same_bytes(
    run: Run,
    registry: TinyRegistry,
    jobs_database: Database,
    supervisor: Supervisor,
    children: list[_Child],
    tmp_path: Path,
) -> None:
    asked = spec(1_500_000)
    job, _ = submit(jobs_database, asked, caller="local", max_attempts=3)
    working = threading.Thread(target=supervisor.run_queued_jobs)
    working.start()
    folder = tmp_path / "checkpoints" / job.id
    until(lambda: folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir()))
    assert children[0].process.pid is not None
    os.kill(children[0].process.pid, signal.SIGKILL)
    working.join(60)
    ended = read(jobs_database, job.id)
    assert (ended.state, ended.attempt, len(children)) == ("succeeded", 2, 2)
    assert [str(state) for state in history(jobs_database, job.id)] == [
        "queued", "running", "queued", "running", "succeeded",
    ]  # fmt: skip
    with jobs_database.read() as connection:
        lines = [line.line for line in connection.exec_driver_sql("SELECT line FROM job_logs ORDER BY id")]
    assert any("of them were drawn before, and it goes on from there" in line for line in lines)
    whole = run(asked, folder="never stopped")
    assert ended.result == whole.result
    assert ended.progress["fraction"] == 1
    assert not folder.exists()
    assert len(file_of(whole, registry)) > 60_000_000


def test_a_running_job_is_cancelled_between_two_tiles(
    jobs_database: Database, supervisor: Supervisor, children: list[_Child], tmp_path: Path
) -> None:
    supervisor._settings = supervisor._settings.model_copy(update={"lease_seconds": 0.6})  # it beats three times in it
    job, _ = submit(jobs_database, spec(100_000_000), caller="local", max_attempts=3)
    working = threading.Thread(target=supervisor.run_queued_jobs)
    working.start()
    until(lambda: read(jobs_database, job.id).progress.get("step", 0) > 0)
    request_cancel(jobs_database, job.id)
    working.join(10)
    assert not working.is_alive()
    ended = read(jobs_database, job.id)
    assert (ended.state, ended.result, children[0].process.exitcode) == ("cancelled", None, 0)
    assert not (tmp_path / "checkpoints" / job.id).exists()


def test_a_late_commit_changes_nothing(run: Run, jobs_database: Database, supervisor: Supervisor) -> None:
    job, _ = submit(jobs_database, spec(50), caller="local", max_attempts=3)
    outcome = asdict(run(spec(50)))
    zombie = claimed(jobs_database, SHORT_LEASE)
    time.sleep(SHORT_LEASE + 0.01)
    owner = claimed(jobs_database)
    with pytest.raises(LeaseLostError):
        supervisor._commit(zombie, outcome)
    assert read(jobs_database, job.id).state == "running"
    supervisor._commit(owner, outcome)
    assert read(jobs_database, job.id).result == outcome["result"]
    for late in (zombie, owner):
        with pytest.raises(LeaseLostError):
            supervisor._commit(late, outcome | {"result": {"digest": "another"}})
    assert read(jobs_database, job.id).result == outcome["result"]
