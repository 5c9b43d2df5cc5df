"""Many samples: a job that draws them into a file, and the file."""

import hashlib
import os
import tempfile
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO, Any

import httpx
import numpy as np

from helmholtz.connection import Call, json_call, path_of
from helmholtz.errors import HelmholtzError, InvalidArgumentError, ServiceUnreachableError, UnexpectedAnswerError
from helmholtz.jobs import path_of_job
from helmholtz.results import Job, SampleResult
from helmholtz.room import Room

MEDIA_TYPES = {".npz": "application/x-npz", ".safetensors": "application/vnd.safetensors"}
"""What a file of samples can be, by the ending of its name."""


class DrawCalls(Room):
    """The calls for samples that are too many for one answer."""

    def draw(
        self,
        model: str,
        n: int,
        seed: int | None = None,
        ref: str | int | None = None,
        include: Collection[str] = (),
        condition: Mapping[str, float] | None = None,
        correction: str = "none",
        *,
        idempotency_key: str | None = None,
    ) -> Job:
        """The job that draws ``n`` configurations into a file: the same ones as ``sample``, and many more of them.

        ``correction`` as that of ``sample``; the file's diagnostics are those of the job.
        When it has succeeded, ``download`` fetches the file, and ``result`` its arrays.
        """
        body = {
            "kind": "sample",
            "model": model,
            "n": n,
            "seed": seed,
            "ref": None if ref is None else str(ref),
            "include": list(include) or None,
            "condition": dict(condition or {}) or None,
            "correction": None if correction == "none" else correction,
        }
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        return Job.read(self._connection.json(json_call(path_of("jobs"), body, headers)))

    def download(self, job: Job | str, path: str | os.PathLike[str]) -> Path:
        """The file ``path``, a npz or a safetensors file by its ending, with what a job has drawn.

        It is written beside ``path`` first, and has its name when all of it came and its digest is right; what was
        there before is replaced then.

        Raises:
            InvalidArgumentError: another ending, or a file that cannot be written.
            ConflictError: reason ``JOB_NOT_FINISHED``, or ``JOB_WITHOUT_RESULT``.
            NotFoundError: reason ``NO_RESULT_FILE``, jobs of its kind leave no file.
        """
        target = Path(path)
        call = Call("GET", path_of_job(job) + "/result", headers={"Accept": _media_type(target)})
        part = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            with part.open("xb") as file:
                self._receive(call, file)
            part.replace(target)
        except OSError as error:
            if isinstance(error, HelmholtzError):
                raise
            msg = f"cannot write {target}: {error.strerror or error}"
            raise InvalidArgumentError(msg) from None
        finally:
            part.unlink(missing_ok=True)
        return target

    def result(self, job: Job | str) -> SampleResult:
        """What a job has drawn, in memory; raises as ``download`` does."""
        ended = self._connection.get(path_of_job(job))
        with tempfile.TemporaryDirectory() as folder:
            path = self.download(job, Path(folder) / "result.npz")
            with np.load(path, allow_pickle=False) as loaded:
                arrays = {name: loaded[name] for name in loaded.files}
        told: dict[str, Any] = ended.get("result") or {}
        return SampleResult.read(told | {"digest": told.get("version_digest")} | arrays)

    def _receive(self, call: Call, file: IO[bytes]) -> None:
        """Write the answer to ``call`` as it comes.

        Raises:
            ServiceUnreachableError: the connection broke before all of it came.
            UnexpectedAnswerError: it is not what its ETag says.
        """
        digest = hashlib.sha256()
        with self._connection.stream(call, self._connection.timeout) as response:
            try:
                for piece in response.iter_bytes():
                    digest.update(piece)
                    file.write(piece)
            except httpx.TransportError as error:
                msg = f"the connection to {self._connection.url} broke before the whole file came ({error}); try again"
                raise ServiceUnreachableError(msg) from None
            etag = response.headers.get("etag", "").strip('"')
        if etag != digest.hexdigest():
            msg = f"{call.path} sent a file with the digest {digest.hexdigest()}, and says that it is {etag or 'none'}"
            raise UnexpectedAnswerError(msg)


def check_file_name(path: Path) -> None:
    """Before anything is drawn: whether a file of samples can have this name.

    Raises:
        InvalidArgumentError: another ending, or no such folder.
    """
    _media_type(path)
    if not path.absolute().parent.is_dir():
        msg = f"cannot write {path}: there is no folder {path.parent}"
        raise InvalidArgumentError(msg)


def _media_type(path: Path) -> str:
    kind = MEDIA_TYPES.get(path.suffix)
    if kind is None:
        msg = f"the file is {str(path)!r}; expected a name that ends in {' or '.join(MEDIA_TYPES)}"
        raise InvalidArgumentError(msg)
    return kind
