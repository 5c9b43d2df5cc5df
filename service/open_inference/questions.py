"""One inference: tensors in, tensors out, whichever of the protocol's two transports they travel by."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models_registry.versions import VersionRecord
from service.context import Context
from service.open_inference.datatypes import Array, refused
from service.open_inference.vocabulary import (
    CONDITIONS,
    LIKELIHOOD_INPUTS,
    LIKELIHOOD_OUTPUTS,
    SAMPLING_INPUTS,
    SAMPLING_OUTPUTS,
    sampling_outputs_of,
)
from service.use_cases.draw_samples import draw_samples
from service.use_cases.evaluate_log_likelihood import Evaluation, evaluate_log_likelihood
from service.use_cases.resolve import Condition, resolve_version
from service.use_cases.specs import parse
from zoo.specs.requests import ConditionedRequest, SampleRequest

_KNOWN_INPUTS = (*SAMPLING_INPUTS, "samples")
_NOT_HERE = {
    "sequence_id": "requests are independent of each other",
    "sequence_start": "requests are independent of each other",
    "sequence_end": "requests are independent of each other",
    "classification": "no output is a list of classes",
    "shared_memory_region": "tensors travel in the messages",
    "shared_memory_offset": "tensors travel in the messages",
    "shared_memory_byte_size": "tensors travel in the messages",
}


@dataclass(frozen=True)
class Question:
    """The tensors of a request by their names, and the names of the outputs that it wants; () means all."""

    inputs: Mapping[str, Array]
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """The tensors of an answer by their names, and what is to be said about them."""

    record: VersionRecord
    outputs: dict[str, Array]
    compute_seconds: float
    parameters: dict[str, int | str] = field(default_factory=dict)


async def answer(context: Context, model: str, ref: str | None, question: Question, seconds: float) -> Answer:
    """Samples where ``n`` came, log-likelihoods where ``samples`` came.

    Raises:
        InvalidValueError: neither or both came, tensors or outputs that do not belong to the question, or values that
            are not allowed.
        HelmholtzError: as ``draw_samples`` and ``evaluate_log_likelihood`` raise them.
    """
    given = set(question.inputs)
    unknown = next((name for name in question.inputs if name not in _KNOWN_INPUTS), None)
    if unknown is not None:
        known = ", ".join(_KNOWN_INPUTS)
        raise refused("inputs", f"{unknown[:80]!a} is not known; the known ones are {known}", known)
    if ("n" in given) == ("samples" in given):
        came = "both came" if "n" in given else "neither came"
        message = f"n asks for samples, samples ask for their log_likelihood, and {came}; give one of them"
        raise refused("inputs", message)
    if "n" in given:
        return await _samples(context, model, ref, question, seconds)
    return await _log_likelihoods(context, model, ref, question, seconds)


def check_parameters(parameters: Mapping[str, object], where: str) -> None:
    """Nothing, unless parameters ask for what is not done here; those that nobody here knows are not looked at.

    Raises:
        InvalidValueError: naming the parameter.
    """
    name = next((name for name in parameters if name in _NOT_HERE), None)
    if name is not None:
        raise refused(where, f"parameter {name} is not possible here: {_NOT_HERE[name]}; leave it out")


def seconds_of(parameters: Mapping[str, object], otherwise: float, most: float) -> float:
    """Seconds that a request gives itself: its parameter ``timeout`` in microseconds, where it has one that is not 0.

    They are ``most`` at most, as a deadline of gRPC is.

    Raises:
        InvalidValueError: it is not a whole number from 0.
    """
    asked = parameters.get("timeout", 0)
    if not isinstance(asked, int) or isinstance(asked, bool) or asked < 0:
        raise refused("parameters", "timeout is a number of microseconds, a whole number from 0")
    return min(asked / 1e6, most) if asked else otherwise


async def _samples(context: Context, model: str, ref: str | None, question: Question, seconds: float) -> Answer:
    outputs = _wanted(question, SAMPLING_OUTPUTS, "n")
    if not outputs:
        record = await resolve_version(context, model, ref)
        ref, outputs = str(record.version), sampling_outputs_of(record)
    asked: dict[str, Any] = {"include": [name for name in outputs if name == "log_prob"]} | _conditions(question)
    asked |= {name: _integer(question, name) for name in ("n", "seed") if name in question.inputs}
    drawn = await draw_samples(context, model, ref, parse(SampleRequest, asked), seconds)
    parameters = {"seed": drawn.seed} | _said(drawn.record, drawn.condition)
    arrays = {name: _as_answered(name, drawn.arrays[name]) for name in outputs}
    return Answer(drawn.record, arrays, drawn.compute_seconds, parameters)


async def _log_likelihoods(context: Context, model: str, ref: str | None, question: Question, seconds: float) -> Answer:
    _wanted(question, LIKELIHOOD_OUTPUTS, "samples")
    stray = next((name for name in question.inputs if name not in LIKELIHOOD_INPUTS), None)
    if stray is not None:
        raise refused(stray, "belongs to the question n; leave it out beside samples")
    condition = parse(ConditionedRequest, _conditions(question)).asked
    asked = Evaluation(question.inputs["samples"], condition)
    found = await evaluate_log_likelihood(context, model, ref, asked, seconds)
    parameters = {"kind": found.kind} | _said(found.record, found.condition)
    arrays = {"log_likelihood": _as_answered("log_likelihood", found.log_likelihood)}
    return Answer(found.record, arrays, found.compute_seconds, parameters)


def _wanted(question: Question, possible: tuple[str, ...], to: str) -> tuple[str, ...]:
    """The outputs that were asked, each once.

    Raises:
        InvalidValueError: one that is no answer to this question, or one that is named twice.
    """
    stray = next((name for name in question.outputs if name not in possible), None)
    if stray is not None:
        allowed = " and ".join(possible)
        raise refused("outputs", f"{stray[:80]!a} is no answer to {to}; {allowed} can be asked", allowed)
    if len(set(question.outputs)) < len(question.outputs):
        raise refused("outputs", "one of them is named twice")
    return question.outputs


def _conditions(question: Question) -> dict[str, Any]:
    """Values of conditions, as a JSON request of the service's own API has them."""
    values = {name: _number(question, name) for name in CONDITIONS if name in question.inputs}
    beta = {"beta": values.pop("beta")} if "beta" in values else {}
    return beta | {"condition": values}


def _integer(question: Question, name: str) -> int:
    array = _scalar(question, name)
    if array.dtype.kind not in "iu":
        raise refused(name, f"has {array.dtype} numbers; an integer datatype was expected, such as INT64", "INT64")
    return int(array.item())


def _number(question: Question, name: str) -> float:
    """A number; one in FP16 or FP32 is the shortest decimal that rounds to it, as 0.44 is meant by FP32's 0.44."""
    array = _scalar(question, name)
    if array.dtype.kind == "b":
        raise refused(name, "has BOOL; a number was expected, such as FP64", "FP64")
    return float(str(array[()]))


def _scalar(question: Question, name: str) -> Array:
    array = question.inputs[name]
    if array.size != 1:
        raise refused(name, f"has shape {list(array.shape)}; one value was expected, shape [1]", "shape [1]")
    return array.reshape(())


def _as_answered(name: str, array: Array) -> Array:
    return array if name == "samples" else array.astype(np.float64, copy=False)


def _said(record: VersionRecord, condition: Condition) -> dict[str, int | str]:
    """What is told beside the tensors: the digest, and warnings where there are some."""
    said: dict[str, int | str] = {"digest": record.digest}
    return said | {"warnings": "; ".join(condition.warnings)} if condition.warnings else said
