"""Questions about a part: completions of what is partly known, the probability of the known part, and of classes."""

import io
import json
from collections.abc import Mapping
from typing import Any

import httpx
import numpy as np
from numpy.typing import ArrayLike, NDArray

from helmholtz.arrays import JSON, NPY, NPZ, as_samples, to_npy
from helmholtz.connection import Call, path_of
from helmholtz.errors import InvalidArgumentError
from helmholtz.inference import InferenceCalls
from helmholtz.results import Answer, Configurations, LogLikelihoodResult, Numbers


class CompletionResult(Answer):
    """Completions of configurations: ``samples`` has shape (m, n, *event_shape), known sites as they were given.

    ``log_marginal`` is ln q of the known part in nats, shape (m,), with its ``standard_error``, 0 where it is exact.
    Where ``exact`` is false, ``diagnostics`` says how many of the proposals for each configuration were effective.
    """

    samples: Configurations
    exact: bool
    log_marginal: Numbers
    standard_error: Numbers
    seed: int
    model: str
    version: int
    diagnostics: dict[str, Any] = {}

    @property
    def reliable(self) -> bool:
        """Whether nothing is to be said against the completions."""
        return bool(self.diagnostics.get("reliable", True))


class LabelledLogLikelihoodResult(LogLikelihoodResult):
    """log q(x) summed over classes, and ``label_posterior`` p(y|x), shape (n, classes), whose rows sum to 1."""

    label_posterior: Numbers


class CompletionCalls(InferenceCalls):
    """The verbs of a model that are about a part of a configuration, or about its class."""

    def complete(
        self,
        model: str,
        samples: ArrayLike,
        mask: ArrayLike,
        n: int = 1,
        seed: int | None = None,
        ref: str | int | None = None,
        **options: Any,  # noqa: ANN401 - see below
    ) -> CompletionResult:
        """``n`` draws of the missing part of each configuration given the known one, where ``mask`` is True.

        ``samples`` has shape (m, *event_shape), and ``mask`` this shape or that of one configuration; values where it
        is False are not looked at.  ``options``: ``proposals`` for each configuration where the draws cannot be
        exact, and ``condition``, values of what the model is conditioned on.

        Raises:
            InvalidValueError: a mask that does not fit, or a known value outside the model's space.
            ConflictError: reason ``CAPABILITY_MISSING``, the family does not complete.
        """
        asked = {"n": n, "seed": seed} | options
        return CompletionResult.read(self._ask_of_part(_path(model, ref, "complete"), samples, mask, asked))

    def marginal_log_likelihood(
        self,
        model: str,
        samples: ArrayLike,
        mask: ArrayLike,
        seed: int | None = None,
        ref: str | int | None = None,
        **options: Any,  # noqa: ANN401 - as for complete
    ) -> LogLikelihoodResult:
        """Ln q of the known part of each configuration, where ``mask`` is True; with an error if not exact."""
        path = _path(model, ref, "logLikelihood")
        return LogLikelihoodResult.read(self._ask_of_part(path, samples, mask, {"seed": seed} | options))

    def classify(self, model: str, samples: ArrayLike, ref: str | int | None = None) -> LabelledLogLikelihoodResult:
        """p(y|x) of every class y, of a model conditioned on classes, and ln sum_y p(y) q(x|y).

        Raises:
            ConflictError: reason ``CAPABILITY_MISSING``, the model is not conditioned on classes.
        """
        params = {"include": "label_posterior"}
        content, headers = to_npy(as_samples(samples)), self._headers(JSON) | {"Content-Type": NPY}
        call = Call("POST", _path(model, ref, "logLikelihood"), params=params, content=content, headers=headers)
        return LabelledLogLikelihoodResult.read(self._fields(self._ask(call)))

    def _ask_of_part(self, path: str, samples: ArrayLike, mask: ArrayLike, asked: Mapping[str, Any]) -> dict[str, Any]:
        params = {name: json.dumps(value) for name, value in asked.items() if value is not None}
        content = _to_npz(samples=as_samples(samples), mask=_as_mask(mask))
        headers = self._headers(JSON) | {"Content-Type": NPZ}
        return self._fields(self._ask(Call("POST", path, params=params, content=content, headers=headers)))

    def _fields(self, response: httpx.Response) -> dict[str, Any]:
        return dict(self._connection.read_object(response))


def _path(model: str, ref: str | int | None, verb: str) -> str:
    version = () if ref is None else ("versions", ref)
    return f"{path_of('models', model, *version)}:{verb}"


def _as_mask(mask: ArrayLike) -> NDArray[np.bool_]:
    array = np.asarray(mask)
    if array.dtype != np.bool_:
        msg = f"mask must be boolean, True where a site is known; dtype {array.dtype} came"
        raise InvalidArgumentError(msg)
    return array


def _to_npz(**arrays: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the arrays for its own option
    return stream.getvalue()
