"""The formats of arrays: each carries the same numbers both ways, read by others' libraries as ours writes them."""

import gzip
import io
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
import safetensors.numpy
from backports import zstd
from numpy.typing import NDArray

from models_registry.database import Database
from service.context import Context
from service.costs import CostModel
from service.rest.answers import PIECE, in_pieces, in_texts
from service.rest.compression import accepted_encoding
from service.rest.formats.media_types import ARROW, BINARY, JSON, NAMING, NPY, NPZ, SAFETENSORS
from service.rest.formats.parted import PartedArray
from service.rest.formats.table import write_arrays
from tests.service.conftest import LIMITS, Ask
from tests.workers.tiny_models import TinyRegistry

Array = NDArray[Any]

SPINS = np.where(np.arange(48).reshape(3, 4, 4) % 5 < 2, 1, -1).astype(np.int8)
LOG_PROB = np.array([-1.5, -2.25, -1e-17])
MASK = np.arange(16).reshape(4, 4) < 7
ISING = {"kind": "ising", "shape": [4, 4]}
SAMPLE, LIKELIHOOD, COMPLETE = (f"/v1/models/made:{verb}" for verb in ("sample", "logLikelihood", "complete"))
ENERGY = "/v1/targets:energy"


class Engine:
    """Answers each question with fixed arrays, in two parts, and remembers what was asked."""

    def __init__(self) -> None:
        self.costs = CostModel()
        self.arrays: dict[str, Array] = {}
        self.beside: dict[str, Any] = {}
        self.asked: list[dict[str, Any]] = []

    async def ask(self, operation: str, payload: dict[str, Any], seconds: float) -> AsyncIterator[dict[str, Any]]:
        """Two parts."""
        del operation, seconds
        self.asked.append(payload)
        yield {name: array[:1] for name, array in self.arrays.items()}
        yield {name: array[1:] for name, array in self.arrays.items()} | self.beside | {"compute_seconds": 0.25}


@pytest.fixture
def engine(context: Context) -> Engine:
    """An engine, and a published model ``made`` of 4 x 4 spins for it."""
    database = Database(context.settings.resolved_database_url)
    TinyRegistry(database, context.settings.data_dir / "artifacts").publish("made")
    database.dispose()
    fake = Engine()
    fake.arrays = {"samples": SPINS, "log_prob": LOG_PROB}
    context.engine = fake  # type: ignore[assignment]  # it has what is asked for
    return fake


def npy(array: Array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def npz(**arrays: Array) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the arrays for its own option
    return stream.getvalue()


def arrow(batches: int = 1, **arrays: Array) -> bytes:
    """An Arrow stream with a fixed-shape tensor, or a plain number, in each row."""
    names = list(arrays)
    columns = [
        array if array.ndim == 1 else pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(array))
        for array in arrays.values()
    ]
    table = pa.table([pa.chunked_array([column]) for column in columns], names=names)
    return stream_of(table.combine_chunks(), max_chunksize=-(-len(table) // batches))


def stream_of(table: Any, max_chunksize: int | None = None, **options: Any) -> bytes:  # noqa: ANN401 - pyarrow's
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, **options) as writer:
        writer.write_table(table, max_chunksize)
    return bytes(sink.getvalue())


def from_arrow(data: bytes) -> tuple[dict[str, Array], dict[str, str]]:
    table = pa.ipc.open_stream(data).read_all()
    arrays = {
        name: column.combine_chunks().to_numpy_ndarray()
        if isinstance(column.type, pa.FixedShapeTensorType)
        else column.to_numpy()
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    return arrays, {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}


READ: dict[str, Callable[[bytes], dict[str, Array]]] = {
    NPY: lambda data: {"": np.load(io.BytesIO(data))},
    NPZ: lambda data: dict(np.load(io.BytesIO(data))),
    SAFETENSORS: safetensors.numpy.load,
    ARROW: lambda data: from_arrow(data)[0],
}
WRITE: dict[str, Callable[..., bytes]] = {
    NPZ: npz,
    SAFETENSORS: lambda **arrays: safetensors.numpy.save({n: np.ascontiguousarray(a) for n, a in arrays.items()}),
    ARROW: lambda **arrays: arrow(2, **arrays),
}


@pytest.mark.parametrize("kind", NAMING)
def test_samples_are_the_same_numbers_in_every_format(ask: Ask, engine: Engine, kind: str) -> None:
    body = {"n": 3, "seed": 7, "include": ["log_prob"]}
    answer = ask("POST", SAMPLE, json=body, headers={"Accept": kind})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == kind
    assert int(answer.headers["content-length"]) == len(answer.content)
    found = READ[kind](answer.content)
    assert found.keys() == engine.arrays.keys()
    for name, array in engine.arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    by_json = ask("POST", SAMPLE, json=body).json()
    assert by_json["samples"] == SPINS.tolist()
    assert by_json["log_prob"] == LOG_PROB.tolist()


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float32", "float64"])
@pytest.mark.parametrize("kind", BINARY)
def test_what_travels_keeps_its_type_its_shape_and_its_parts_in_order(kind: str, dtype: str) -> None:
    numbers = np.arange(70).reshape(7, 5, 2).astype(dtype)
    for cuts in ([], [3], [1, 6], [0, 7]):
        parted = PartedArray(tuple(np.split(numbers, cuts)))
        beside = PartedArray(tuple(np.split(np.arange(7.0), [4])))
        data = b"".join(write_arrays(kind, {"samples": parted, "log_prob": beside}, {}))
        found = READ[kind](data)
        samples = found.get("samples", found.get(""))
        assert samples is not None
        np.testing.assert_array_equal(samples, numbers)
        assert (samples.dtype, samples.shape) == (np.dtype(dtype), (7, 5, 2))


def test_the_other_fields_travel_in_headers_and_metadata(ask: Ask, engine: Engine) -> None:
    body = {"n": 3, "seed": 7}
    answers = {kind: ask("POST", SAMPLE, json=body, headers={"Accept": kind}) for kind in BINARY}
    for answer in answers.values():
        assert answer.headers["x-seed"] == "7"
        assert answer.headers["x-model-version"] == "1"
        assert json.loads(answer.headers["x-warnings"]) == []
        assert [part.partition(";")[0].strip() for part in answer.headers["server-timing"].split(",")] == [
            "queue",
            "compute",
            "encode",
        ]
        assert "compute;dur=250" in answer.headers["server-timing"]
    with_metadata = {ARROW: from_arrow(answers[ARROW].content)[1]}
    length = int.from_bytes(answers[SAFETENSORS].content[:8], "little")
    with_metadata[SAFETENSORS] = json.loads(answers[SAFETENSORS].content[8 : 8 + length])["__metadata__"]
    for kind, metadata in with_metadata.items():
        digest = answers[kind].headers["x-model-digest"]
        expected = {"seed": "7", "model": "made", "model_version": "1", "model_digest": digest, "warnings": "[]"}
        assert expected.items() <= metadata.items()


def test_a_warning_of_any_letters_fits_into_a_header() -> None:
    for warning in ("β is far outside", "a\r\nX-Seed: 3", 'quote "'):
        text = in_texts({"warnings": [warning], "plain": warning})
        assert all(value.isascii() and value.isprintable() for value in text.values())
        assert json.loads(text["warnings"]) == [warning]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (SAMPLE, {"n": 3, "include": ["log_prob"]}),
        (ENERGY, {"target": ISING, "samples": SPINS.tolist(), "force": True}),
    ],
)
def test_npy_carries_one_array(ask: Ask, engine: Engine, path: str, body: dict[str, Any]) -> None:
    answer = ask("POST", path, json=body, headers={"Accept": NPY})
    assert (answer.status_code, answer.json()["reason"]) == (406, "ONE_ARRAY_ONLY")
    assert NPZ in answer.json()["detail"]
    assert engine.asked == []


def test_npy_carries_the_samples_whatever_the_engine_puts_first(ask: Ask, engine: Engine) -> None:
    engine.arrays = {"log_prob": LOG_PROB, "samples": SPINS}
    answer = ask("POST", SAMPLE, json={"n": 3}, headers={"Accept": NPY})
    np.testing.assert_array_equal(READ[NPY](answer.content)[""], SPINS)


@pytest.mark.parametrize("accept", ["text/csv", "application/vnd.apache.arrow.file", f"{JSON};q=0"])
def test_unknown_types_are_not_acceptable_and_the_known_ones_are_named(ask: Ask, engine: Engine, accept: str) -> None:
    answer = ask("POST", SAMPLE, json={"n": 3}, headers={"Accept": accept})
    assert answer.status_code == 406
    assert all(kind in answer.json()["detail"] for kind in (JSON, *BINARY))
    assert engine.asked == []


@pytest.mark.parametrize("kind", BINARY)
def test_configurations_arrive_from_every_format(ask: Ask, engine: Engine, kind: str) -> None:
    engine.arrays = {"log_likelihood": LOG_PROB}
    data = npy(SPINS) if kind == NPY else WRITE[kind](samples=SPINS)
    answer = ask("POST", LIKELIHOOD, content=data, headers={"Content-Type": kind, "Accept": kind})
    assert answer.status_code == 200, answer.text
    np.testing.assert_array_equal(engine.asked[0]["samples"], SPINS)
    (found,) = READ[kind](answer.content).values()
    np.testing.assert_array_equal(found, LOG_PROB)
    assert found.dtype == np.float64
    assert answer.headers["x-kind"] == "exact"


@pytest.mark.parametrize("kind", NAMING)
@pytest.mark.parametrize("exact", [True, False])
def test_masks_arrive_from_every_format_with_names(ask: Ask, engine: Engine, kind: str, exact: bool) -> None:  # noqa: FBT001
    numbers = {name: np.arange(3.0) + i for i, name in enumerate(("log_marginal", "standard_error"))}
    engine.arrays = {"samples": np.stack([SPINS, -SPINS], axis=1), "effective_sample_size": np.full(3, 5.0)} | numbers
    engine.beside = {"exact": exact, "warnings": ["one"]}
    data = WRITE[kind](samples=SPINS, mask=np.broadcast_to(MASK, SPINS.shape))
    params = {"n": "2", "seed": "11", "proposals": "40"}
    answer = ask("POST", COMPLETE, content=data, params=params, headers={"Content-Type": kind, "Accept": kind})
    assert answer.status_code == 200, answer.text
    payload = engine.asked[0]
    assert (payload["n"], payload["seed"], payload["proposals"]) == (2, 11, 40)
    np.testing.assert_array_equal(payload["mask"], np.broadcast_to(MASK, SPINS.shape))
    found = READ[kind](answer.content)
    assert ("effective_sample_size" in found) is (not exact)
    np.testing.assert_array_equal(found["samples"], engine.arrays["samples"])
    assert answer.headers["x-exact"] == str(exact).lower()
    assert answer.headers["x-reliable"] == "false"
    assert "one" in json.loads(answer.headers["x-warnings"])


def test_a_column_of_nested_lists_has_their_shape(ask: Ask, engine: Engine) -> None:
    engine.arrays = {"log_likelihood": LOG_PROB}
    inner = pa.FixedSizeListArray.from_arrays(pa.array(SPINS.reshape(-1)), 4)
    table = pa.table({"samples": pa.FixedSizeListArray.from_arrays(inner, 4)})
    answer = ask("POST", LIKELIHOOD, content=stream_of(table, 2), headers={"Content-Type": ARROW})
    assert answer.status_code == 200, answer.text
    np.testing.assert_array_equal(engine.asked[0]["samples"], SPINS)


@pytest.mark.parametrize("kind", BINARY)
def test_energies_travel_in_every_format(ask: Ask, engine: Engine, kind: str) -> None:
    engine.arrays = {"energy": LOG_PROB}
    data = npy(SPINS) if kind == NPY else WRITE[kind](samples=SPINS)
    params = {"target": json.dumps(ISING)}
    answer = ask("POST", ENERGY, content=data, params=params, headers={"Content-Type": kind, "Accept": kind})
    assert answer.status_code == 200, answer.text
    assert engine.asked[0]["target"]["shape"] == [4, 4]
    (found,) = READ[kind](answer.content).values()
    np.testing.assert_array_equal(found, LOG_PROB)


@pytest.mark.parametrize(
    ("path", "params", "status", "words"),
    [
        (LIKELIHOOD, {"seeds": "3"}, 422, "'seeds' is not a parameter"),
        (LIKELIHOOD, {"n": "3"}, 422, "known: beta, condition, include, proposals, ref, seed"),
        (COMPLETE, {"include": "x"}, 422, "n, proposals, ref, seed"),
        (ENERGY, {"beta": "3"}, 422, "known: force, target"),
        (ENERGY, {"target": "{"}, 422, "a JSON object"),
        (ENERGY, {}, 422, "target"),
        (LIKELIHOOD, {"seed": "-1"}, 422, "seed"),
        (LIKELIHOOD, {"seed": str(2**53)}, 422, "seed"),
        (LIKELIHOOD, {"seed": "x"}, 422, "seed"),
        (COMPLETE, {"n": "0"}, 422, "n"),
    ],
)
def test_the_query_is_read_as_strictly_as_a_body(
    ask: Ask, engine: Engine, path: str, params: dict[str, str], status: int, words: str
) -> None:
    answer = ask("POST", path, content=npz(samples=SPINS), params=params, headers={"Content-Type": NPZ})
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail"]
    assert engine.asked == []


@pytest.mark.parametrize("path", [SAMPLE, "/v1/models/made/versions/1:sample", "/v1/models/made:freeEnergy"])
def test_parameters_that_a_route_does_not_read_are_refused(ask: Ask, engine: Engine, path: str) -> None:
    answer = ask("POST", path, json={"n": 3}, params={"n": "5"})
    assert answer.status_code == 422
    assert "known: " in answer.json()["detail"]
    assert engine.asked == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"n": 2**62}, "at most"),
        ({"n": 10**30}, "n"),
        ({"n": LIMITS.max_sample_values // 16 + 1}, "MAX_SAMPLE_VALUES"),
        ({"n": 3, "seed": -1}, "seed"),
        ({"n": -3}, "n"),
        ({"n": 3, "include": ["samples"]}, "include"),
    ],
)
def test_numbers_beyond_the_bounds_are_refused(ask: Ask, engine: Engine, body: dict[str, Any], words: str) -> None:
    content = json.dumps(body).encode()
    answer = ask("POST", SAMPLE, content=content, headers={"Content-Type": JSON, "Accept": NPZ})
    assert answer.status_code in {400, 422}, answer.text
    assert words in answer.json()["detail"]
    assert engine.asked == []


_WIDE = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
WIDE = _WIDE.compress(b'{"n": 3}') + _WIDE.flush()
"""A right body that asks its reader for a window of 128 MiB."""

PACK: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd.compress}


@pytest.mark.parametrize("encoding", PACK)
@pytest.mark.parametrize("kind", [JSON, *BINARY])
def test_bodies_may_be_compressed(ask: Ask, engine: Engine, encoding: str, kind: str) -> None:
    engine.arrays = {"log_likelihood": LOG_PROB}
    plain = {NPY: npy(SPINS), JSON: json.dumps({"samples": SPINS.tolist()}).encode()}
    data = plain[kind] if kind in plain else WRITE[kind](samples=SPINS)
    headers = {"Content-Type": kind, "Content-Encoding": encoding}
    answer = ask("POST", LIKELIHOOD, content=PACK[encoding](data), headers=headers)
    assert answer.status_code == 200, answer.text
    np.testing.assert_array_equal(engine.asked[0]["samples"], SPINS)


@pytest.mark.parametrize(
    ("encoding", "content", "status", "reason"),
    [
        ("gzip", gzip.compress(b" " * 10**7), 413, "PAYLOAD_TOO_LARGE"),
        ("zstd", zstd.compress(b" " * 10**8), 413, "PAYLOAD_TOO_LARGE"),
        ("zstd", WIDE, 400, "MALFORMED"),
        ("gzip", gzip.compress(b"{}")[:-1], 400, "MALFORMED"),
        ("zstd", zstd.compress(b"{}") + b"x", 400, "MALFORMED"),
        ("zstd", b"", 400, "MALFORMED"),
        ("gzip", b"{}", 400, "MALFORMED"),
        ("br", b"{}", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("gzip, gzip", b"{}", 415, "UNSUPPORTED_MEDIA_TYPE"),
    ],
)
def test_other_compressions_and_bombs_are_refused(
    ask: Ask, engine: Engine, encoding: str, content: bytes, status: int, reason: str
) -> None:
    answer = ask("POST", SAMPLE, content=content, headers={"Content-Type": JSON, "Content-Encoding": encoding})
    assert (answer.status_code, answer.json()["reason"]) == (status, reason), answer.text
    assert status != 415 or "zstd and gzip" in answer.json()["detail"]
    assert engine.asked == []


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("", "identity"),
        ("*", "identity"),
        ("br, deflate", "identity"),
        ("gzip", "gzip"),
        ("gzip, zstd", "zstd"),
        ("GZIP;q=0.9, zstd;q=0.2", "gzip"),
        ("zstd;q=0, gzip;q=0", "identity"),
        ("zstd;q=0.5, identity", "identity"),
        ("zstd;q=high", "identity"),
    ],
)
def test_answers_are_compressed_where_it_is_asked_by_name(header: str, chosen: str) -> None:
    assert accepted_encoding(header) == chosen


@pytest.mark.parametrize(("wish", "unpack"), [("zstd", zstd.decompress), ("gzip", gzip.decompress)])
def test_large_answers_shrink_and_others_stay(
    ask: Ask, engine: Engine, wish: str, unpack: Callable[[bytes], bytes]
) -> None:
    def answered(samples: Array, accept: str) -> httpx.Response:
        engine.arrays = {"samples": samples}
        return ask("POST", SAMPLE, json={"n": 3}, headers={"Accept": NPY, "Accept-Encoding": accept})

    rng = np.random.default_rng(5)
    spins = rng.choice(np.array([-1, 1], np.int8), size=(10_000, 4, 4))
    noise = rng.integers(-128, 128, size=(10_000, 4, 4)).astype(np.int8)
    packed, plain = answered(spins, wish), answered(spins, "identity")
    assert packed.headers["content-encoding"] == wish
    assert len(plain.content) > 4 * int(packed.headers["content-length"])
    assert packed.content == plain.content or unpack(packed.content) == plain.content  # httpx inflates what it can
    assert packed.headers["vary"] == "Accept, Accept-Encoding"
    for other in (plain, answered(noise, wish), answered(spins[:100], wish)):
        assert "content-encoding" not in other.headers
        assert int(other.headers["content-length"]) == len(other.content)


@pytest.mark.parametrize(
    "sizes", [[], [0], [1], [PIECE], [PIECE + 1], [3 * PIECE], [5, PIECE - 6, 1], [1] * 9 + [PIECE]]
)
def test_pieces_are_of_one_size_and_lose_nothing(sizes: list[int]) -> None:
    rng = np.random.default_rng(1)
    buffers = [rng.bytes(size) for size in sizes]
    pieces = list(in_pieces(buffers, PIECE))
    assert b"".join(pieces) == b"".join(buffers)
    assert all(len(piece) == PIECE for piece in pieces[:-1])
    assert all(0 < len(piece) <= PIECE for piece in pieces)


def test_the_gateway_starts_without_the_library_that_reads_arrow() -> None:
    command = "import sys, service.gateway; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0  # noqa: S603 - our own words


def test_record_batches_are_bounded() -> None:
    parts = tuple(np.zeros((rows, 64, 64), np.int8) for rows in (300, 1, 700))
    data = b"".join(write_arrays(ARROW, {"samples": PartedArray(parts)}, {}))
    batches = list(pa.ipc.open_stream(data))
    assert sum(batch.num_rows for batch in batches) == 1001
    assert all(batch.nbytes <= 2**20 for batch in batches)
    assert len(batches) < 10
