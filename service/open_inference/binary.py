"""The body of an inference request and of its answer: JSON, which may be followed by tensors as bytes.

The header Inference-Header-Content-Length tells where the JSON ends.  Each tensor whose parameters have a
``binary_data_size`` has that many bytes there, one after the other, in the order of the JSON.
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from service.open_inference.datatypes import (
    Array,
    Header,
    array_from_bytes,
    array_from_numbers,
    datatype_of,
    header_of,
    little_endian,
    refused,
)
from service.open_inference.questions import Answer, Question, check_parameters
from service.rest.bodies import array_from_json, json_from_bytes
from service.use_cases.spec_errors import in_json_words
from workers.settings import Settings
from zoo.specs.errors import InvalidValueError, MalformedError

HEADER_LENGTH = "Inference-Header-Content-Length"

_LENGTH = re.compile(r"[0-9]{1,18}")
_PART = 2**18  # bytes of an array that become JSON between two chances for other threads


@dataclass(frozen=True)
class InferBody:
    """A request: the question, and how its answer is to travel."""

    question: Question
    id: str = ""
    """Repeated in the answer."""
    parameters: Mapping[str, object] = field(default_factory=dict)
    all_binary: bool = False
    """Whether outputs travel as bytes, unless ``binary`` says otherwise of one."""
    binary: Mapping[str, bool] = field(default_factory=dict)
    """What the request says of single outputs."""

    def is_binary(self, output: str) -> bool:
        """Whether this output travels as bytes."""
        return self.binary.get(output, self.all_binary)


def decode(body: bytes, header_length: str | None, settings: Settings) -> InferBody:
    """The request in a body, the JSON of which has ``header_length`` bytes; all of them without one.

    Raises:
        MalformedError: a length that the body does not have, or no JSON in it.
        InvalidValueError: no object, or parts of it that are not as the protocol has them; bytes that belong to no
            tensor, or too few of them.
    """
    end = _end_of_json(body, header_length)
    data = json_from_bytes(body[:end], settings)
    if not isinstance(data, dict):
        msg = f"the body is {in_json_words(data)}; an object {{...}} was expected"
        raise InvalidValueError(msg)
    identity, parameters = data.get("id", ""), _parameters(data, "parameters")
    if not isinstance(identity, str):
        raise refused("id", f"is {in_json_words(identity)}; a text was expected")
    check_parameters(parameters, "parameters")
    inputs = _inputs(_objects(data, "inputs"), memoryview(body)[end:])
    outputs = _objects(data, "outputs")
    names = [_name(output) for output in outputs]
    wishes = {name: _binary_wish(output) for name, output in zip(names, outputs, strict=True)}
    return InferBody(
        Question(inputs, tuple(names)),
        identity,
        parameters,
        _flag(parameters, "binary_data_output"),
        {name: wish for name, wish in wishes.items() if wish is not None},
    )


def encode(answer: Answer, asked: InferBody) -> tuple[bytes, list[memoryview]]:
    """The JSON of an answer, and the tensors that follow it as bytes, which are views of the answer's arrays."""
    outputs, tensors = [], []
    for name, array in answer.outputs.items():
        output: dict[str, Any] = {"name": name, "datatype": datatype_of(array), "shape": array.shape}
        if asked.is_binary(name):
            tensors.append(little_endian(array).reshape(-1).view(np.uint8).data)
            output["parameters"] = {"binary_data_size": array.nbytes}
        else:
            output["data"] = _numbers(array)
        outputs.append(output)
    body = {
        "model_name": answer.record.model,
        "model_version": str(answer.record.version),
        "parameters": answer.parameters,
        "outputs": outputs,
    }
    return orjson.dumps(body | {"id": asked.id} if asked.id else body), tensors


def _end_of_json(body: bytes, header_length: str | None) -> int:
    if header_length is None:
        return len(body)
    if not _LENGTH.fullmatch(header_length) or int(header_length) > len(body):
        msg = f"{HEADER_LENGTH} is {header_length[:80]!a}; the body has {len(body)} bytes, and its JSON some of them"
        raise MalformedError(msg)
    return int(header_length)


def _inputs(inputs: list[dict[str, Any]], rest: memoryview) -> dict[str, Array]:
    """The tensors of a request; ``rest`` is what follows the JSON, and all of it belongs to them."""
    found: dict[str, Array] = {}
    start = 0
    for entry in inputs:
        header = header_of(entry.get("name"), entry.get("datatype"), entry.get("shape"))
        parameters = _parameters(entry, header.name)
        check_parameters(parameters, header.name)
        size = parameters.get("binary_data_size")
        if header.name in found:
            raise refused(header.name, "comes twice")
        if (size is None) == ("data" not in entry):
            raise refused(header.name, "has its numbers either in data, or after the JSON with a binary_data_size")
        if size is None:
            found[header.name] = _from_json(header, entry["data"])
            continue
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(rest) - start:
            came = f"{len(rest) - start} bytes are left of the body"
            raise refused(header.name, f"binary_data_size is {in_json_words(size)} and {came}")
        found[header.name] = array_from_bytes(header, rest[start : start + size])
        start += size
    if start < len(rest):
        raise refused("body", f"{len(rest) - start} bytes after its JSON belong to no tensor")
    return found


def _from_json(header: Header, data: object) -> Array:
    """The numbers in ``data``, which is flat or nested as the shape is."""
    if data == [] and header.num_values == 0:
        return array_from_numbers(header, np.empty(0, header.dtype))
    return array_from_numbers(header, array_from_json(data, header.name))


def _objects(data: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The list of objects under ``key``, [] where there is none."""
    entries = data.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise refused(key, "a list of objects {...} was expected")
    return entries


def _parameters(data: dict[str, Any], where: str) -> dict[str, Any]:
    parameters = data.get("parameters", {})
    if not isinstance(parameters, dict):
        raise refused(where, f"parameters are {in_json_words(parameters)}; an object {{...}} was expected")
    return parameters


def _name(output: dict[str, Any]) -> str:
    name = output.get("name")
    if not isinstance(name, str):
        raise refused("outputs", "each has a name, a text")
    return name


def _binary_wish(output: dict[str, Any]) -> bool | None:
    """Whether one output is to travel as bytes, None where it does not say."""
    parameters = _parameters(output, "outputs")
    check_parameters(parameters, "outputs")
    return _flag(parameters, "binary_data") if "binary_data" in parameters else None


def _flag(parameters: Mapping[str, Any], name: str) -> bool:
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise refused("parameters", f"{name} is {in_json_words(value)}; true or false was expected")
    return value


def _numbers(array: Array) -> orjson.Fragment:
    """The numbers as one flat JSON list, written some at a time."""
    flat = np.ascontiguousarray(array).reshape(-1)
    step = max(1, _PART // flat.itemsize)
    return orjson.Fragment(b"[" + b",".join(_without_brackets(_parts(flat, step))) + b"]")


def _parts(flat: Array, step: int) -> Iterable[Array]:
    return (flat[i : i + step] for i in range(0, len(flat), step))


def _without_brackets(parts: Iterable[Array]) -> Iterable[bytes]:
    return (orjson.dumps(part, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1] for part in parts)
