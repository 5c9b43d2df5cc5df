"""A conversation of tritonclient with a running stack; prints as JSON what it was answered.

Run as ``python -m tests.end_to_end.triton_conversation http|grpc ADDRESS MODEL``, in a process of its own: the messages
of tritonclient and those of the service have the same names, and protobuf holds each name once in a process.  For the
same reason no test imports this module.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

NUM_SAMPLES = 700
SEED = 42


def tensor(module: Any, name: str, array: Any, **how: Any) -> Any:  # noqa: ANN401 - tritonclient has no types
    """An input of tritonclient's."""
    made = module.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    made.set_data_from_numpy(array, **how)
    return made


def scalar(module: Any, name: str, value: float, dtype: str = "int64", **how: Any) -> Any:  # noqa: ANN401 - the same
    """An input of one number."""
    return tensor(module, name, np.array([value], dtype), **how)


def sampling(module: Any, **how: Any) -> list[Any]:  # noqa: ANN401 - the same
    """The inputs that ask for samples."""
    return [scalar(module, "n", NUM_SAMPLES, **how), scalar(module, "seed", SEED, **how)]


def shown(result: Any, *names: str) -> dict[str, Any]:  # noqa: ANN401 - the same
    """The tensors of an answer: numbers and type; None where there is no such tensor."""
    arrays = {name: result.as_numpy(name) for name in names}
    return {
        name: None if array is None else {"dtype": array.dtype.name, "values": array.tolist()}
        for name, array in arrays.items()
    }


def refusal(work: Callable[[], object]) -> dict[str, str]:
    """The error that ``work`` ends with, {} without one."""
    try:
        work()
    except InferenceServerException as error:
        return {"status": str(error.status()), "message": str(error.message())}
    return {}


def refusals(module: Any, client: Any, model: str) -> dict[str, dict[str, str]]:  # noqa: ANN401 - the same
    """The errors of requests that are wrong, each in one way."""
    n, spins = scalar(module, "n", 5), tensor(module, "samples", np.ones((2, 4, 4), np.int8))
    zeros = tensor(module, "samples", np.zeros((1, 4, 4), np.int8))
    wrong_shape = tensor(module, "samples", np.ones((2, 3, 3), np.int8))
    texts = tensor(module, "samples", np.array([[b"up"]], np.object_))
    energy = [module.InferRequestedOutput("energy")]
    asked: dict[str, Callable[[], object]] = {
        "no model": lambda: client.infer("nobody", [n]),
        "no version": lambda: client.infer(model, [n], model_version="99"),
        "no metadata": lambda: client.get_model_metadata("nobody"),
        "unknown input": lambda: client.infer(model, [n, scalar(module, "temperature", 1)]),
        "unknown output": lambda: client.infer(model, [n], outputs=energy),
        "nothing asked": lambda: client.infer(model, [scalar(module, "seed", 1)]),
        "two questions": lambda: client.infer(model, [n, spins]),
        "a spin of 0": lambda: client.infer(model, [zeros]),
        "wrong shape": lambda: client.infer(model, [wrong_shape]),
        "texts": lambda: client.infer(model, [texts]),
        "n in FP64": lambda: client.infer(model, [scalar(module, "n", 5, "float64")]),
        "no samples": lambda: client.infer(model, [scalar(module, "n", 0)]),
        "negative seed": lambda: client.infer(model, [n, scalar(module, "seed", -1)]),
        "too many": lambda: client.infer(model, [scalar(module, "n", 2**62)]),
        "another beta": lambda: client.infer(model, [n, scalar(module, "beta", 0.3, "float64")]),
        "a sequence": lambda: client.infer(model, [n], sequence_id=7, sequence_start=True),
        "unload": lambda: client.unload_model(model),
    }
    return {name: refusal(work) for name, work in asked.items()}


def converse(module: Any, client: Any, model: str, json_of: dict[str, bool]) -> dict[str, Any]:  # noqa: ANN401 - the same
    """What both transports can be asked."""
    drawn = client.infer(model, sampling(module), request_id="first")
    spins = tensor(module, "samples", drawn.as_numpy("samples"))
    beta = scalar(module, "beta", 0.44, "float32")
    one = [module.InferRequestedOutput("samples")]
    found = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "models ready": [client.is_model_ready(model), client.is_model_ready(model, "1")],
        "others ready": [client.is_model_ready("nobody"), client.is_model_ready(model, "99")],
        "server": client.get_server_metadata(**json_of),
        "metadata": client.get_model_metadata(model, **json_of),
        "metadata of production": client.get_model_metadata(model, "production", **json_of),
        "config": client.get_model_config(model, **json_of),
        "index": client.get_model_repository_index(**json_of),
        "load": client.load_model(model),
        "samples": shown(drawn, "samples", "log_prob"),
        "answer": drawn.get_response(**json_of),
        "samples alone": shown(client.infer(model, sampling(module), outputs=one), "samples", "log_prob"),
        "at beta": shown(client.infer(model, [*sampling(module), beta], model_version="1"), "samples"),
        "likelihood": shown(client.infer(model, [spins]), "log_likelihood"),
        "refusals": refusals(module, client, model),
    }
    found["answer"].pop("raw_output_contents", None)
    return found


def over_http(address: str, model: str) -> dict[str, Any]:
    """The conversation over HTTP, and what HTTP has beside it: JSON tensors and compression."""
    module = tritonclient.http
    client = module.InferenceServerClient(address)
    found = converse(module, client, model, {})
    names = ("samples", "log_prob")
    in_json = [module.InferRequestedOutput(name, binary_data=False) for name in names]
    mixed = [module.InferRequestedOutput("samples", binary_data=False), module.InferRequestedOutput("log_prob")]
    lists = sampling(module, binary_data=False)
    found["in JSON"] = shown(client.infer(model, lists, outputs=in_json), *names)
    found["mixed"] = shown(client.infer(model, lists, outputs=mixed), *names)
    for encoding in ("gzip", "deflate"):
        answer = client.infer(
            model,
            sampling(module),
            request_compression_algorithm=encoding,
            response_compression_algorithm=encoding,
        )
        found[encoding] = shown(answer, *names)
    spins = np.array(found["samples"]["samples"]["values"], np.int8)
    listed = client.infer(model, [tensor(module, "samples", spins, binary_data=False)])
    found["likelihood in JSON"] = shown(listed, "log_likelihood")
    client.close()
    return found


def over_grpc(address: str, model: str) -> dict[str, Any]:
    """The conversation over gRPC."""
    client = tritonclient.grpc.InferenceServerClient(address)
    found = converse(tritonclient.grpc, client, model, {"as_json": True})
    client.close()
    return found


if __name__ == "__main__":
    transport, where, name = sys.argv[1:]
    sys.stdout.write(json.dumps({"http": over_http, "grpc": over_grpc}[transport](where, name)))
