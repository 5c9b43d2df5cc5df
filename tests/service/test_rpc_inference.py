"""The gRPC service Inference with an engine that does as it is told: sizes, deadlines, cancellations, refusals."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
import pytest

from service.rpc import status
from service.rpc.tensors import from_tensor, to_tensor
from service.rpc.v1 import inference_pb2 as pb
from service.wishes import WISHES, Wishes
from tests.service.rpc_stage import Part, Stage, ToldEngine, details, play, refusal
from workers.settings import Settings

MADE = pb.ModelReference(model="made")
DEFAULT_LIMIT = 4 * 2**20  # of what a client receives
CONFIGURATIONS = np.where(np.random.default_rng(4).random((50, 4, 4)) < 0.5, -1, 1).astype(np.int8)


def sampled(operation: str, payload: Part) -> list[Part]:
    """Rows in tiles of 2048, as an engine gives them."""
    rows = np.arange(payload["n"] * 16, dtype=np.float32).reshape(-1, 4, 4)
    parts: list[Part] = [{"samples": rows[i : i + 2048]} for i in range(0, len(rows), 2048)]
    parts[-1]["compute_seconds"] = 0.0
    return parts


def likelihoods_of(rows: np.ndarray[Any, Any], **fields: Any) -> pb.LogLikelihoodRequest:  # noqa: ANN401 - a message's own
    return pb.LogLikelihoodRequest(model=MADE, samples=to_tensor(rows), **fields)


def in_messages(rows: np.ndarray[Any, Any], *lengths: int, **first: Any) -> list[pb.LogLikelihoodRequest]:  # noqa: ANN401 - a message's own
    """The rows in messages of these lengths; only the first says what is asked."""
    pieces = np.split(rows, np.cumsum(lengths)[:-1])
    messages = [pb.LogLikelihoodRequest(samples=to_tensor(piece)) for piece in pieces]
    messages[0].MergeFrom(pb.LogLikelihoodRequest(model=MADE, **first))
    return messages


async def sent(messages: list[pb.LogLikelihoodRequest]) -> AsyncIterator[pb.LogLikelihoodRequest]:
    for message in messages:
        yield message


def test_small_parts_travel_together_and_large_ones_in_pieces(lonely_settings: Settings) -> None:
    async def scene(stage: Stage) -> list[pb.SampleChunk]:
        return [chunk async for chunk in stage.inference.Sample(pb.SampleRequest(model=MADE, n=50_000, seed=1))]

    found = play(lonely_settings, scene, ToldEngine(sampled))
    sizes = [chunk.ByteSize() for chunk in found]
    assert max(sizes) <= 2**20
    assert len(found) == 4, "3.2 MB"
    rows = np.concatenate([from_tensor(chunk.samples) for chunk in found])
    np.testing.assert_array_equal(rows.ravel(), np.arange(800_000, dtype=np.float32))
    assert [chunk.last for chunk in found] == [False, False, False, True]


def test_when_the_client_goes_the_engine_is_left_at_once(lonely_settings: Settings) -> None:
    async def scene(stage: Stage) -> tuple[bool, bool]:
        call = stage.inference.Sample(pb.SampleRequest(model=MADE, n=60_000))
        await anext(aiter(call))
        assert not stage.engine.left.is_set()
        call.cancel()
        await asyncio.wait_for(stage.engine.left.wait(), 2)
        return stage.engine.finished, call.cancelled()

    assert play(lonely_settings, scene, ToldEngine(sampled, endless=True)) == (False, True)


def test_clients_that_go_while_they_are_sent_to_are_no_fault(
    lonely_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(stage: Stage) -> None:
        for i in range(10):
            stage.engine.left.clear()
            call = stage.inference.Sample(pb.SampleRequest(model=MADE, n=300_000))
            await anext(aiter(call))
            await asyncio.sleep(0.01 * i)
            call.cancel()
            await asyncio.wait_for(stage.engine.left.wait(), 2)

    play(lonely_settings, scene, ToldEngine(sampled))
    assert [record for record in caplog.records if record.levelname in {"ERROR", "WARNING"}] == []


@pytest.mark.parametrize("method", ["FreeEnergy", "LogLikelihood"])
def test_other_questions_are_left_too(lonely_settings: Settings, method: str) -> None:
    progress = {"progress": {"num_samples": 1, "fraction": 0.1}}

    async def scene(stage: Stage) -> None:
        if method == "FreeEnergy":
            call = stage.inference.FreeEnergy(pb.FreeEnergyRequest(model=MADE))
            await anext(aiter(call))
        else:
            call = stage.inference.LogLikelihood(likelihoods_of(CONFIGURATIONS))
            while not stage.engine.asked:
                await asyncio.sleep(0.01)
        call.cancel()
        await asyncio.wait_for(stage.engine.left.wait(), 2)

    play(lonely_settings, scene, ToldEngine(lambda *_: [progress], endless=True))


def test_the_deadline_reaches_the_engine_and_ends_the_call(lonely_settings: Settings) -> None:
    async def scene(stage: Stage) -> tuple[grpc.aio.AioRpcError, float]:
        error = await refusal(stage.inference.Sample(pb.SampleRequest(model=MADE, n=3), timeout=0.4))
        await asyncio.wait_for(stage.engine.left.wait(), 2)
        return error, stage.engine.asked[0][2]

    error, seconds = play(lonely_settings, scene, ToldEngine(sampled, endless=True))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert 0.2 < seconds < 0.5, "gRPC rounds it up"


def test_a_client_that_reads_slowly_gets_everything(lonely_settings: Settings) -> None:
    async def scene(stage: Stage) -> int:
        call = stage.inference.Sample(pb.SampleRequest(model=MADE, n=500_000))
        await call.initial_metadata()
        await asyncio.sleep(0.5)
        assert not stage.engine.left.is_set(), "32 MB are not sent before somebody reads them"
        received = 0
        async for chunk in call:
            received += len(from_tensor(chunk.samples))
        return received

    assert play(lonely_settings, scene, ToldEngine(sampled)) == 500_000


def test_a_client_that_never_reads_holds_nothing_for_long(
    lonely_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "UNREAD_SECONDS", 0.2)

    async def scene(stage: Stage) -> grpc.aio.AioRpcError:
        call = stage.inference.Sample(pb.SampleRequest(model=MADE, n=500_000))
        await asyncio.wait_for(stage.engine.left.wait(), 5)
        assert not stage.engine.finished
        return await refusal(call)

    error = play(lonely_settings, scene, ToldEngine(sampled))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "read nothing" in str(error.details())


@pytest.mark.parametrize(("timeout", "expected"), [(None, 10.0), (100_000.0, 300.0)])
def test_without_a_deadline_or_with_a_distant_one_the_settings_bound_the_time(
    lonely_settings: Settings, timeout: float | None, expected: float
) -> None:
    async def scene(stage: Stage) -> float:
        async for _ in stage.inference.Sample(pb.SampleRequest(model=MADE, n=3), timeout=timeout):
            pass
        return stage.engine.asked[0][2]

    assert play(lonely_settings, scene, ToldEngine(sampled)) == expected


@pytest.mark.parametrize("timeout", [0.0, -1.0])
def test_a_deadline_in_the_past_leaves_nothing_behind(lonely_settings: Settings, timeout: float) -> None:
    async def scene(stage: Stage) -> grpc.aio.AioRpcError:
        error = await refusal(stage.inference.Sample(pb.SampleRequest(model=MADE, n=3), timeout=timeout))
        await asyncio.sleep(0.1)
        assert not stage.engine.asked or stage.engine.left.is_set(), "gRPC rounds up: a millisecond may be left"
        return error

    assert play(lonely_settings, scene, ToldEngine(sampled, endless=True)).code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_stream_of_rows_is_one_question_with_the_same_answer(lonely_settings: Settings) -> None:
    async def scene(stage: Stage) -> tuple[Any, Any, Any, Any]:
        unary = await stage.inference.LogLikelihood(likelihoods_of(CONFIGURATIONS))
        messages = sent(in_messages(CONFIGURATIONS, 1, 20, 29))
        streamed = [reply async for reply in stage.inference.LogLikelihoodStream(messages)]
        return unary, streamed, *(payload for _, payload, _ in stage.engine.asked)

    unary, streamed, one, other = play(lonely_settings, scene)
    assert streamed == [unary]
    np.testing.assert_array_equal(one.pop("samples"), other.pop("samples"))
    assert one == other
    np.testing.assert_array_equal(from_tensor(unary.log_likelihood), CONFIGURATIONS.sum(axis=(1, 2)))


def test_masks_come_with_their_rows_or_once_for_all(lonely_settings: Settings) -> None:
    masks = np.random.default_rng(5).random(CONFIGURATIONS.shape) < 0.5

    async def scene(stage: Stage) -> None:
        await stage.inference.LogLikelihood(likelihoods_of(CONFIGURATIONS, mask=to_tensor(masks), seed=3))
        messages = in_messages(CONFIGURATIONS, 10, 40, seed=3)
        for message, piece in zip(messages, np.split(masks, [10]), strict=True):
            message.mask.CopyFrom(to_tensor(piece))
        [reply async for reply in stage.inference.LogLikelihoodStream(sent(messages))]
        one = in_messages(CONFIGURATIONS, 10, 40, mask=to_tensor(masks[0]), seed=3)
        [reply async for reply in stage.inference.LogLikelihoodStream(sent(one))]
        unary, streamed, alike = (payload for _, payload, _ in stage.engine.asked)
        np.testing.assert_array_equal(unary["mask"], masks)
        np.testing.assert_array_equal(streamed["mask"], masks)
        np.testing.assert_array_equal(alike["mask"], np.broadcast_to(masks[0], masks.shape))
        assert unary["seed"] == streamed["seed"] == 3
        assert unary["proposals"] == streamed["proposals"] == 1000

    known: dict[str, Any] = {name: np.zeros(50) for name in ("log_marginal", "standard_error", "effective_sample_size")}
    ends = {"exact": False, "warnings": [], "compute_seconds": 0.0}
    part = known | {"samples": np.zeros((50, 0, 4, 4), np.int8)} | ends
    play(lonely_settings, scene, ToldEngine(lambda *_: [part]))


def with_field(message: pb.LogLikelihoodRequest, **fields: Any) -> pb.LogLikelihoodRequest:  # noqa: ANN401 - a message's own
    message.MergeFrom(pb.LogLikelihoodRequest(**fields))
    return message


def bad_streams() -> dict[str, tuple[list[pb.LogLikelihoodRequest], str]]:
    rows, flat = CONFIGURATIONS, to_tensor(np.ones((2, 16), np.int8))
    mask = to_tensor(np.ones((1, 4, 4), np.bool_))
    return {
        "nothing": ([], "no message came"),
        "the model twice": (in_messages(rows, 1, 49) + in_messages(rows, 50), "model: only the first message"),
        "another shape": ([*in_messages(rows, 50), pb.LogLikelihoodRequest(samples=flat)], "rows of one array"),
        "another type": ([*in_messages(rows, 50), pb.LogLikelihoodRequest(samples=to_tensor(rows * 1.0))], "float64"),
        "no rows": ([*in_messages(rows, 50), pb.LogLikelihoodRequest(samples=to_tensor(rows[:0]))], "has no row"),
        "no samples": ([*in_messages(rows, 50), pb.LogLikelihoodRequest()], "samples.dtype"),
        "a mask too late": (
            [*in_messages(rows, 50), with_field(in_messages(rows, 50)[0], mask=mask)],
            "only the first",
        ),
        "a late mask": (
            [*in_messages(rows, 50), pb.LogLikelihoodRequest(samples=to_tensor(rows[:1]), mask=mask)],
            "the first message has none",
        ),
        "a mask missing": ([*in_messages(rows[:1], 1, mask=mask), *in_messages(rows, 1)], "only the first"),
        "a mask gone": (
            [*in_messages(rows[:1], 1, mask=mask), pb.LogLikelihoodRequest(samples=to_tensor(rows))],
            "some messages have one",
        ),
        "a mask of another length": (in_messages(rows, 50, mask=mask), "came for samples of shape"),
        "values outside": (in_messages(rows * 0, 50), "samples[0][0][0]"),
        "too many": ([*in_messages(rows, 50), *([pb.LogLikelihoodRequest(samples=to_tensor(rows))] * 40)], "at most"),
    }


@pytest.mark.parametrize("name", bad_streams())
def test_a_bad_stream_is_refused(lonely_settings: Settings, name: str) -> None:
    messages, words = bad_streams()[name]

    async def scene(stage: Stage) -> grpc.aio.AioRpcError:
        error = await refusal(stage.inference.LogLikelihoodStream(sent(messages)))
        assert stage.engine.asked == []
        return error

    error = play(lonely_settings.model_copy(update={"max_sample_values": 30_000}), scene)
    limit = name == "too many"
    assert error.code() is (grpc.StatusCode.OUT_OF_RANGE if limit else grpc.StatusCode.INVALID_ARGUMENT), error
    assert words in str(error.details())
    assert details(error)["BadRequest"].field_violations[0].field


def test_rows_that_never_end_are_waited_for_only_so_long(lonely_settings: Settings) -> None:
    async def slowly() -> AsyncIterator[pb.LogLikelihoodRequest]:
        yield in_messages(CONFIGURATIONS, 50)[0]
        await asyncio.sleep(3600)

    async def scene(stage: Stage) -> grpc.aio.AioRpcError:
        return await refusal(stage.inference.LogLikelihoodStream(slowly()))

    error = play(lonely_settings.model_copy(update={"max_wait_seconds": 0.2}), scene)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "did not come" in str(error.details())


def test_an_answer_that_clients_would_refuse_is_refused_before_it_is_computed(lonely_settings: Settings) -> None:
    many = np.ones((600_000, 4, 4), np.int8)

    async def scene(stage: Stage) -> grpc.aio.AioRpcError:
        error = await refusal(stage.inference.LogLikelihood(likelihoods_of(many)))
        assert stage.engine.asked == []
        messages = sent(in_messages(many, 300_000, 300_000))
        replies = [reply async for reply in stage.inference.LogLikelihoodStream(messages)]
        assert max(reply.ByteSize() for reply in replies) <= 2**20
        assert sum(len(from_tensor(reply.log_likelihood)) for reply in replies) == len(many)
        return error

    error = play(lonely_settings, scene)
    assert error.code() is grpc.StatusCode.OUT_OF_RANGE
    assert "LogLikelihoodStream" in str(error.details())


def test_completions_of_any_number_travel(lonely_settings: Settings) -> None:
    """Here one configuration has 6 MB of completions."""
    asked = pb.CompletionRequest(
        model=MADE, samples=to_tensor(CONFIGURATIONS[:2]), mask=to_tensor(np.zeros((4, 4), np.bool_)), n=200_000, seed=1
    )
    samples = np.arange(2 * 200_000 * 16).astype(np.int8).reshape(2, 200_000, 4, 4)
    part = {
        "samples": samples,
        "exact": True,
        "log_marginal": np.array([-1.0, -2.0]),
        "standard_error": np.zeros(2),
        "effective_sample_size": np.zeros(2),
        "warnings": [],
        "compute_seconds": 0.0,
    }

    async def scene(stage: Stage) -> list[pb.CompletionChunk]:
        return [chunk async for chunk in stage.inference.Complete(asked)]

    found = play(lonely_settings, scene, ToldEngine(lambda *_: [part]))
    assert max(chunk.ByteSize() for chunk in found) <= 2**20
    np.testing.assert_array_equal(from_tensor(found[0].log_marginal), [-1.0, -2.0])
    assert not found[0].HasField("effective_sample_size")
    rows = np.concatenate([from_tensor(chunk.samples) for chunk in found[1:]])
    np.testing.assert_array_equal(rows.reshape(samples.shape), samples)
    assert [chunk.last for chunk in found] == [False] * (len(found) - 1) + [True]


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (None, "mask: is missing"),
        (pb.Tensor(dtype="uint8", shape=[4, 4], data=b"\1" * 16), "bool was expected"),
        (pb.Tensor(dtype="bool", shape=[4, 4], data=b"\2" * 16), "0 and 1"),
        (pb.Tensor(dtype="bool", shape=[4, 4], data=b"\1" * 15), "15 came"),
        (pb.Tensor(dtype="bool", shape=[3], data=b"\1" * 3), "expected"),
    ],
)
def test_a_bad_mask_is_named(lonely_settings: Settings, mask: pb.Tensor | None, words: str) -> None:
    async def scene(stage: Stage) -> grpc.aio.AioRpcError:
        asked = pb.CompletionRequest(model=MADE, samples=to_tensor(CONFIGURATIONS), mask=mask)
        return await refusal(stage.inference.Complete(asked))

    error = play(lonely_settings, scene)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert words in str(error.details())


SMALL_LIMIT = 2**20


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_a_message_that_is_too_large_is_refused_in_words(
    lonely_settings: Settings, compression: grpc.Compression
) -> None:
    """Compressed it has 40 KB: what counts is what it would become."""
    rows = np.ones((2_500_000, 4, 4), np.int8)

    async def scene(stage: Stage) -> grpc.aio.AioRpcError:
        call = stage.inference.LogLikelihood(likelihoods_of(rows), compression=compression)
        error = await refusal(call)
        assert stage.engine.asked == []
        await stage.inference.LogLikelihood(likelihoods_of(rows[:3]))  # nobody else is harmed
        return error

    error = play(lonely_settings.model_copy(update={"max_body_bytes": SMALL_LIMIT}), scene)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in str(error.details())


def test_a_compressed_question_has_the_same_answer(lonely_settings: Settings) -> None:
    async def scene(stage: Stage) -> tuple[Any, Any]:
        asked = likelihoods_of(CONFIGURATIONS)
        plain = await stage.inference.LogLikelihood(asked)
        compressed = await stage.inference.LogLikelihood(asked, compression=grpc.Compression.Gzip)
        return plain, compressed

    plain, compressed = play(lonely_settings, scene)
    assert plain == compressed


def test_calls_carry_wishes(lonely_settings: Settings) -> None:
    found: list[Wishes] = []

    def noted(operation: str, payload: Part) -> list[Part]:
        found.append(WISHES.get())
        return sampled(operation, payload)

    async def scene(stage: Stage) -> None:
        key = ("authorization", "Bearer a-key-of-this-test-0123456789")
        for metadata in ((key,), (key, ("cache-control", "no-store"), ("x-request-id", "a.b"))):
            async for _ in stage.inference.Sample(pb.SampleRequest(model=MADE, n=3, seed=1), metadata=metadata):
                pass

    play(lonely_settings.model_copy(update={"api_key": "a-key-of-this-test-0123456789"}), scene, ToldEngine(noted))
    assert [wishes.use_cache for wishes in found] == [True, False]
    assert found[1].trace == "a.b"
    assert found[0].trace not in {"", "a.b"}
    assert found[0].caller == found[1].caller is not None
