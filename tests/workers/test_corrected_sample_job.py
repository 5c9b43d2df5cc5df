"""Jobs of corrected samples: an engine's answer in files, the diagnostics in the result, the same after a stop."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models_registry.composite_files import FileSet
from tests.workers.corrected_cases import joined, publish, question
from tests.workers.tiny_models import TinyRegistry
from workers.engine.models import WarmModels
from workers.engine.operations import Engine
from workers.jobs.specs import SampleJobSpec
from workers.kinds import sample
from workers.kinds.base import JobContext, Outcome, StoppedError
from workers.kinds.sample import Sample
from workers.settings import Settings
from workers.trainer.checkpoints import CheckpointFolder

CPU = torch.device("cpu")
Run = Callable[..., Outcome]


@pytest.fixture
def run(registry: TinyRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a job of the flow in this process; it is asked to stop after that many parts.  Chunks are small."""
    publish(registry, "flow")
    monkeypatch.setattr(sample, "CHUNK_BYTES", 2**14)

    def once(correction: str, n: int, folder: str = "checkpoints", stop_after: float = float("inf")) -> Outcome:
        asked = 0

        def stop_requested() -> bool:
            nonlocal asked
            asked += 1
            return asked > stop_after

        spec = SampleJobSpec.model_validate(
            {"model": "flow", "ref": "1", "n": n, "seed": 11, "include": ["energy"], "correction": correction}
        )
        context = JobContext(
            job_id="j1",
            spec=spec.model_dump(mode="json"),
            settings=Settings(engine_threads=1, data_dir=tmp_path),
            checkpoints=CheckpointFolder(tmp_path / folder),
            blobs=registry.blobs,
            report=lambda _: None,
            stop_requested=stop_requested,
        )
        return Sample().run(context)

    return once


def arrays_of(outcome: Outcome, registry: TinyRegistry, path: Path) -> dict[str, NDArray[Any]]:
    file = FileSet.read(outcome.result["artifact"], registry.blobs).files["npz"]
    path.write_bytes(b"".join(file.pieces(registry.blobs)))
    with np.load(path, allow_pickle=False) as loaded:
        return {name: loaded[name] for name in loaded.files}


@pytest.mark.parametrize("correction", ["importance", "metropolis"])
def test_the_files_have_what_an_engine_answers(
    run: Run, registry: TinyRegistry, tmp_path: Path, correction: str
) -> None:
    outcome = run(correction, 5000)
    arrays = arrays_of(outcome, registry, tmp_path / "result.npz")
    engine = Engine(WarmModels(registry.versions, 1, CPU), CPU)
    expected = joined(
        [p for p in engine.run("sample_corrected", question("flow", correction, 5000, 11, "energy")) if p is not None]
    )
    assert outcome.result["diagnostics"] == expected.pop("diagnostics")
    assert outcome.result["warnings"] == outcome.result["diagnostics"]["warnings"]
    assert set(arrays) == set(expected)
    for name, array in arrays.items():
        assert array.tobytes() == expected[name].tobytes(), name


@pytest.mark.parametrize("stop_after", [1, 3, 6])
def test_a_job_that_was_stopped_ends_with_the_same_file(
    run: Run, registry: TinyRegistry, tmp_path: Path, stop_after: int
) -> None:
    whole = run("metropolis", 9000)
    with pytest.raises(StoppedError):
        run("metropolis", 9000, "stopped", stop_after)
    resumed = run("metropolis", 9000, "stopped")
    assert resumed.result["digest"] == whole.result["digest"]
    assert resumed.result["diagnostics"] == whole.result["diagnostics"]
    assert len(arrays_of(resumed, registry, tmp_path / "result.npz")["samples"]) == 9000
