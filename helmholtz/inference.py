"""The three questions: samples, log-likelihoods, free energies."""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import httpx
from numpy.typing import ArrayLike

from helmholtz.arrays import JSON, NPY, NPZ, Array, as_samples, from_npy, from_npz, to_json, to_npy
from helmholtz.connection import Call, json_call, path_of
from helmholtz.errors import AnsweredAsJobError, UnexpectedAnswerError
from helmholtz.results import FreeEnergyCurveResult, FreeEnergyResult, LogLikelihoodResult, SampleResult, StoredCurve
from helmholtz.room import Room

LONGEST_WAIT = 300
"""Seconds; the service waits no longer for a synchronous answer."""

_SAMPLING_SHARE = 0.8  # of the time of an answer, in which samples may be drawn for an error that was asked for


class InferenceCalls(Room):
    """The verbs of a model.

    ``ref`` is a version number or an alias; without it the alias ``production`` is meant, else the newest version.
    Each asks the service to answer within the client's timeout, up to 300 s.
    """

    def sample(
        self,
        model: str,
        n: int,
        seed: int | None = None,
        ref: str | int | None = None,
        include: Collection[str] = (),
        condition: Mapping[str, float] | None = None,
        correction: str = "none",
    ) -> SampleResult:
        """``n`` configurations drawn from a model; ``include`` adds ``log_prob`` and ``energy`` of each.

        The same version and seed give the same configurations; without a seed the answer says which was drawn.
        ``condition`` has values of what the model is conditioned on, such as ``{"beta": 0.4}`` or ``{"label": 3}``.
        ``correction`` turns samples of the model into samples of its target: ``importance`` adds ``log_weight``,
        ``metropolis`` and, of flows, ``latent_hmc`` run Markov chains; ``diagnostics`` say how well that went.

        Raises:
            AnsweredAsJobError: it would take longer than the client waits.
            ConflictError: reason ``CAPABILITY_MISSING``, the model cannot be corrected so.
        """
        body = {
            "n": n,
            "seed": seed,
            "include": list(include) or None,
            "condition": dict(condition or {}) or None,
            "correction": None if correction == "none" else correction,
        }
        accept = f"{NPZ}, {JSON};q=0.5" if include or correction == "importance" else NPY
        response = self._ask(json_call(_path(model, ref, "sample"), body, self._headers(accept)))
        named = _named(response, model)
        arrays = _arrays(response)
        if arrays is None:
            return SampleResult.read(named | self._connection.read_object(response))
        return SampleResult.read(named | _diagnosed(response) | arrays)

    def log_likelihood(
        self,
        model: str,
        samples: ArrayLike,
        ref: str | int | None = None,
        condition: Mapping[str, float] | None = None,
    ) -> LogLikelihoodResult:
        """The natural logarithm of q(x) for each configuration; ``samples`` has shape (n, *event_shape).

        ``condition`` has values of what the model is conditioned on.

        Raises:
            InvalidValueError: a wrong shape, or a value outside the model's space; the error names the first offender.
            ConflictError: reason ``CAPABILITY_MISSING``, the family has no likelihood.
        """
        headers = self._headers(JSON) | {"Content-Type": NPY}
        params = {"condition": to_json(dict(condition)).decode()} if condition else {}
        path, content = _path(model, ref, "logLikelihood"), to_npy(as_samples(samples))
        call = Call("POST", path, params, content=content, headers=headers)
        response = self._ask(call)
        return LogLikelihoodResult.read(_named(response, model) | self._connection.read_object(response))

    def free_energy(
        self,
        model: str,
        method: str = "auto",
        n: int | None = None,
        seed: int | None = None,
        ref: str | int | None = None,
        **options: Any,  # noqa: ANN401 - see below
    ) -> FreeEnergyResult:
        """An estimate of beta_f = -ln Z of the model's target, with its error, evidence and, where known, the truth.

        ``options`` are the other fields of the request.  ``target_standard_error``: samples are drawn until the error
        is that small, for at most ``max_seconds``, which may be longer than the client's timeout; without it four
        fifths of that.  ``beta`` and ``condition``: values of what the model is conditioned on.

        Raises:
            AnsweredAsJobError: it would take longer than the client waits.
        """
        body = {"method": method, "n": n, "seed": seed, **options}
        seconds = max(self._connection.timeout, (options.get("max_seconds") or 0.0) / _SAMPLING_SHARE + 1)
        headers = self._headers(JSON, seconds)
        response = self._ask(json_call(_path(model, ref, "freeEnergy"), body, headers, timeout=seconds))
        return FreeEnergyResult.read(_named(response, model) | self._connection.read_object(response))

    def free_energy_curve(
        self,
        model: str,
        beta: Iterable[float],
        n: int | None = None,
        seed: int | None = None,
        ref: str | int | None = None,
        condition: Mapping[str, float] | None = None,
    ) -> FreeEnergyCurveResult:
        """beta_f, energy and heat capacity at each inverse temperature of ``beta``, from a model conditioned on beta.

        ``n`` is the number of samples at each; ``condition`` has values of other conditions.  Every point is stored.

        Raises:
            AnsweredAsJobError: it would take longer than the client waits.
        """
        betas, values = [float(value) for value in beta], dict(condition or {}) or None
        body = {"beta": betas, "n": n, "seed": seed, "condition": values}
        response = self._ask(json_call(_path(model, ref, "freeEnergyCurve"), body, self._headers(JSON)))
        return FreeEnergyCurveResult.read(_named(response, model) | self._connection.read_object(response))

    def stored_curve(self, model: str, version: int | None = None) -> StoredCurve:
        """The newest stored estimate at each beta, of a version or of all versions of a model; nothing is computed."""
        params = {"model": model} if version is None else {"model": model, "version": version}
        response = self._connection.send(Call("GET", "/v1/free-energies:curve", params))
        return StoredCurve.read(self._connection.read_object(response))

    def _headers(self, accept: str, seconds: float | None = None) -> dict[str, str]:
        wait = max(1, min(int(self._connection.timeout if seconds is None else seconds), LONGEST_WAIT))
        return {"Accept": accept, "Prefer": f"wait={wait}"}

    def _ask(self, call: Call) -> httpx.Response:
        response = self._connection.send(call)
        if response.status_code != 202:
            return response
        job_id = str(self._connection.read_object(response).get("id", "?"))
        msg = (
            f"{call.path} would take longer than this client waits and was answered with job {job_id}; "
            "follow it with wait(), or ask for less"
        )
        raise AnsweredAsJobError(msg, job_id=job_id)


def _path(model: str, ref: str | int | None, verb: str) -> str:
    version = () if ref is None else ("versions", ref)
    return f"{path_of('models', model, *version)}:{verb}"


def _named(response: httpx.Response, model: str) -> dict[str, Any]:
    """What the headers say of the answer: model, version, digest and seed."""
    known = {
        "model": model,
        "version": response.headers.get("x-model-version"),
        "digest": response.headers.get("x-model-digest"),
        "seed": response.headers.get("x-seed"),
    }
    return {name: value for name, value in known.items() if value is not None}


def _arrays(response: httpx.Response) -> dict[str, Array] | None:
    """The arrays of a binary answer, None of another."""
    kind = response.headers.get("content-type", "").partition(";")[0]
    if kind == NPZ:
        return from_npz(response.content)
    return {"samples": from_npy(response.content)} if kind == NPY else None


def _diagnosed(response: httpx.Response) -> dict[str, Any]:
    """What the headers of a binary answer say that JSON has in its body: conditions, warnings, and diagnostics."""
    found = {name: response.headers.get(f"x-{name}") for name in ("condition", "warnings", "diagnostics")}
    try:
        said = {name: json.loads(text) for name, text in found.items() if text is not None}
    except ValueError as error:
        msg = f"the headers X-Condition, X-Warnings and X-Diagnostics are to be JSON, and are not: {error}"
        raise UnexpectedAnswerError(msg) from None
    warnings = said.pop("warnings", None)
    return said if warnings is None or "diagnostics" in said else said | {"diagnostics": {"warnings": warnings}}
