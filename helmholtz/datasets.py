"""Datasets: configurations to learn from, uploaded, built in, or drawn by Monte Carlo."""

import io
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from helmholtz.arrays import NPY, NPZ, Array, as_samples, from_npz, to_npy
from helmholtz.connection import Call, json_call, path_of
from helmholtz.errors import InvalidArgumentError, UnexpectedAnswerError
from helmholtz.results import Dataset, DatasetSamples, Job
from helmholtz.room import Room
from helmholtz.zoo import Spec

_MAGIC = {b"\x93NUMPY": NPY, b"PK\x03\x04": NPZ}


class DatasetCalls(Room):
    """The calls under /v1/datasets.  Wherever a dataset is named, its id or the ``Dataset`` itself will do."""

    def datasets(self, limit: int | None = 100) -> list[Dataset]:
        """At most ``limit`` datasets, newest first."""
        page_size = None if limit is None else min(limit, 100)
        found = self._connection.pages(path_of("datasets"), "datasets", limit, page_size=page_size)
        return [Dataset.read(entry) for entry in found]

    def dataset(self, dataset: Dataset | str) -> Dataset:
        """One dataset: its space, size and origin."""
        return Dataset.read(self._connection.get(_path(dataset)))

    def upload_dataset(
        self,
        samples: ArrayLike | Path,
        space: str | Spec,
        name: str | None = None,
        labels: ArrayLike | None = None,
    ) -> Dataset:
        """The dataset made of ``samples``, shape (n, *event_shape), or of a npy or npz file (``samples``, ``labels``).

        ``space`` is a kind (``spins``, ``bits``, ``categorical``, ``reals``, ``phase_space``, ``torus``, ``spheres``,
        ``particles``) or a mapping with what the kind needs, ``{"kind": "categorical", "num_values": 3}``.

        Raises:
            InvalidValueError: a value outside the space; the error names the first offender, and nothing is kept.
        """
        kind, content = _content(samples, labels)
        params = {"space": space if isinstance(space, str) else json.dumps(dict(space)), "name": name}
        call = Call(
            "POST",
            path_of("datasets"),
            params={key: value for key, value in params.items() if value is not None},
            content=content,
            headers={"Content-Type": kind},
            repeatable=False,
        )
        return Dataset.read(self._connection.json(call))

    def builtin_dataset(self, builtin: str, name: str | None = None, **options: Any) -> Dataset:  # noqa: ANN401
        """The dataset of a builtin: ``digits``, ``bars_and_stripes`` or ``bitstrings``, with its ``options``."""
        body = {"builtin": builtin, "name": name, **options}
        return Dataset.read(self._connection.json(json_call(path_of("datasets"), body, repeatable=False)))

    def generate_dataset(
        self,
        target: Spec,
        n: int,
        sampler: str | Spec | None = None,
        seed: int = 0,
        *,
        name: str | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """The job that draws ``n`` configurations of ``target``; its result names the ``dataset``.

        ``sampler`` is the name of a kind of chains or its spec; without one the service takes what suits the target.
        """
        body = {"target": target, "n": n, "sampler": sampler, "seed": seed, "name": name}
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        return Job.read(self._connection.json(json_call(path_of("datasets"), body, headers)))

    def dataset_samples(self, dataset: Dataset | str) -> DatasetSamples:
        """The configurations of a dataset and, where it has them, their labels."""
        response = self._connection.send(Call("GET", _path(dataset) + "/samples", headers={"Accept": NPZ}))
        arrays = from_npz(response.content)
        if "samples" not in arrays:
            msg = f"{_path(dataset)}/samples answered without an array 'samples'"
            raise UnexpectedAnswerError(msg)
        return DatasetSamples.read(arrays)

    def delete_dataset(self, dataset: Dataset | str) -> None:
        """Delete a dataset.

        Raises:
            ConflictError: reason ``DATASET_IN_USE``, a job that has not ended needs it.
        """
        self._connection.send(Call("DELETE", _path(dataset), repeatable=False))


def _path(dataset: Dataset | str) -> str:
    return path_of("datasets", dataset.id if isinstance(dataset, Dataset) else dataset)


def _content(samples: ArrayLike | Path, labels: ArrayLike | None) -> tuple[str, bytes]:
    """Content type and bytes of an upload: a file as it is, an array as npy, an array with labels as npz.

    Raises:
        InvalidArgumentError: a file that cannot be read, is neither npy nor npz, or comes with other labels.
    """
    if not isinstance(samples, Path):
        if labels is None:
            return NPY, to_npy(as_samples(samples))
        return NPZ, _to_npz({"samples": as_samples(samples), "labels": np.asarray(labels)})
    if labels is not None:
        msg = "labels were given beside a file; put both into one npz file with numpy.savez(file, samples=, labels=)"
        raise InvalidArgumentError(msg)
    try:
        content = samples.read_bytes()
    except OSError as error:
        msg = f"cannot read {samples}: {error.strerror or error}"
        raise InvalidArgumentError(msg) from None
    kind = next((kind for magic, kind in _MAGIC.items() if content.startswith(magic)), None)
    if kind is None:
        msg = f"{samples} is neither a npy nor a npz file; write one with numpy.save or numpy.savez"
        raise InvalidArgumentError(msg)
    return kind, content


def _to_npz(arrays: Mapping[str, Array]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type] # numpy's stub takes the arrays for its own option
    return buffer.getvalue()
