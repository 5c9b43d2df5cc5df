"""Completions of partly known configurations by a warm model, and the probability of what is known."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float64, Num
from numpy.typing import NDArray
from torch import Tensor

from workers.engine.tiled import PAUSE
from workers.settings import PREFIX
from zoo.core.models import Completing, Model
from zoo.core.random import RandomStream
from zoo.core.tiles import largest_tile, tile_plan
from zoo.estimators.completion import doubts_of_completions, marginal, resampled
from zoo.specs.errors import CapabilityMissingError, FieldError, HelmholtzError, LimitExceededError

if TYPE_CHECKING:
    from workers.engine.operations import Engine

Part = dict[str, Any]

_CHOICE_STREAM = 2**24  # index of the stream from which proposals are chosen, apart from those that models use
_VALUES_PER_PART = 2**20


@dataclass
class _Asked:
    """Configurations to complete ``n`` times each; n = 0 asks for the probability of what is known alone."""

    model: Model
    known: Num[Tensor, "configuration *event"]
    mask: Bool[Tensor, "configuration *event"]
    n: int
    rng: RandomStream
    largest_tile: int


@dataclass
class _Answer:
    """One entry for each configuration, in their order."""

    samples: list[NDArray[np.generic]] = field(default_factory=list)
    log_marginal: list[float] = field(default_factory=list)
    standard_error: list[float] = field(default_factory=list)
    effective_sample_size: list[float] = field(default_factory=list)


def complete(engine: "Engine", payload: Part) -> Iterator[Part]:
    """``PAUSE`` between tiles, then ``samples`` (m, n, *event) in parts, ``log_marginal`` and ``standard_error``, (m,).

    Where the model's proposal is q(missing | known) itself for all configurations, they are drawn from it: ``exact``.
    Else ``proposals`` are drawn for each and ``n`` of them taken by their weights, their ``effective_sample_size`` told
    beside them; ``warnings`` come with the last part.  Row r = configuration * (n or proposals) + j of the tile plan
    has its own random numbers, so what a configuration gets depends on the seed and its place alone.

    Raises:
        CapabilityMissingError: the model does not complete.
        LimitExceededError: more proposals than an estimate may draw.
        NumericalError: every proposal of a configuration has zero weight.
    """
    asked, answer = _asked(engine, payload), _Answer()
    if not isinstance(asked.model, Completing):
        msg = "the model does not complete: its family has no conditional distribution of a part given the rest"
        raise CapabilityMissingError(msg)
    exact = bool((asked.model.is_exact(asked.mask) | _is_whole(asked)).all())
    if exact:
        yield from _exactly(asked, answer)
    else:
        _check_work(asked, payload["proposals"], payload["max_values"])
        yield from _by_importance(asked, payload["proposals"], answer)
    yield from _of_whole_configurations(asked, answer)
    warnings = () if exact else doubts_of_completions(answer.effective_sample_size, payload["proposals"])
    yield from _parts(answer, {"exact": exact, "warnings": list(warnings)})


def _asked(engine: "Engine", payload: Part) -> _Asked:
    warm = engine.models.get(payload["model"], payload["version"])
    known, mask = (torch.tensor(payload[name], device=engine.device) for name in ("samples", "mask"))
    model = warm.density(payload.get("condition", {}))
    return _Asked(model, known, mask, payload["n"], RandomStream(payload["seed"]), largest_tile(warm.nanoseconds))


def _exactly(asked: _Asked, answer: _Answer) -> Iterator[Part]:
    """Fills ``answer`` with draws from the conditional distribution."""
    drawn = max(asked.n, 1)
    for completions, log_weights in _by_configuration(asked, drawn):
        if completions is None:
            yield PAUSE
            continue
        answer.samples.append(completions[: asked.n])
        answer.log_marginal.append(float(log_weights[0]))  # a function of the known part: equal in all rows
        answer.standard_error.append(0.0)
        answer.effective_sample_size.append(float(drawn))


def _is_whole(asked: _Asked) -> Bool[Tensor, " configuration"]:
    """Whether a configuration is known entirely."""
    return asked.mask.flatten(1).all(1)


def _of_whole_configurations(asked: _Asked, answer: _Answer) -> Iterator[Part]:
    """Puts into ``answer`` what is known without proposals: ln q of what is known entirely, its own completion."""
    for k in torch.nonzero(_is_whole(asked)).flatten().tolist():
        answer.log_marginal[k] = float(asked.model.log_prob(asked.known[k : k + 1])[0])
        answer.standard_error[k] = 0.0
        yield PAUSE


def _by_importance(asked: _Asked, proposals: int, answer: _Answer) -> Iterator[Part]:
    """Fills ``answer`` with proposals resampled by their weights."""
    choices = asked.rng.spawn(_CHOICE_STREAM)
    for completions, log_weights in _by_configuration(asked, proposals):
        if completions is None:
            yield PAUSE
            continue
        k = len(answer.log_marginal)
        try:
            found = marginal(log_weights)
        except HelmholtzError as error:
            msg = f"samples[{k}]: {error.detail}"
            raise type(error)(msg, errors=(FieldError(f"samples[{k}]", error.detail),)) from None
        uniforms = choices.at(k).uniforms(1, max(asked.n, 1))[0].double().numpy()
        answer.samples.append(completions[resampled(log_weights, uniforms)[: asked.n]])
        answer.log_marginal.append(found.log_marginal)
        answer.standard_error.append(np.nan if found.standard_error is None else found.standard_error)
        answer.effective_sample_size.append(found.effective_sample_size)


def _by_configuration(
    asked: _Asked, rows: int
) -> Iterator[tuple[NDArray[np.generic] | None, Float64[np.ndarray, " row"]]]:
    """Proposals and log-weights of each configuration, ``rows`` of them; None between tiles."""
    parts: list[NDArray[np.generic]] = []
    weights: list[NDArray[np.float64]] = []
    held = 0
    for x, log_weight in _tiles(asked, rows):
        parts.append(x)
        weights.append(log_weight)
        held += len(x)
        if held >= rows:
            all_x, all_weights = np.concatenate(parts), np.concatenate(weights)
            whole = held // rows * rows
            for start in range(0, whole, rows):
                yield all_x[start : start + rows], all_weights[start : start + rows]
            parts, weights, held = [all_x[whole:]], [all_weights[whole:]], held - whole
        yield None, np.zeros(0)


def _tiles(asked: _Asked, rows: int) -> Iterator[tuple[NDArray[np.generic], NDArray[np.float64]]]:
    """Proposals for row r = configuration * ``rows`` + j, tile by tile; the last row pads the last tile."""
    if not isinstance(asked.model, Completing):
        raise TypeError
    total = len(asked.known) * rows
    for tile in tile_plan(total, asked.largest_tile):
        row = np.minimum(np.arange(tile.start, tile.start + tile.rows), total - 1) // rows
        of = torch.from_numpy(row).to(asked.known.device)
        x, log_weight = asked.model.propose(asked.known[of], asked.mask[of], asked.rng.at(tile.start))
        yield x[: tile.used].cpu().numpy(), log_weight[: tile.used].cpu().numpy()


def _check_work(asked: _Asked, proposals: int, most: int) -> None:
    """Nothing, when the proposals of all configurations together have at most ``most`` values.

    Raises:
        LimitExceededError: they have more.
    """
    configurations, sites = len(asked.known), asked.known[0].numel()
    largest = most // (configurations * sites)
    if proposals > largest:
        msg = (
            f"{proposals} proposals for each of {configurations} configurations of {sites} sites asked; "
            f"at most {largest} are allowed here, {most} numbers in all (setting {PREFIX}MAX_ESTIMATE_VALUES)"
        )
        raise LimitExceededError(f"proposals: {msg}", errors=(FieldError("proposals", msg, f"at most {largest}"),))


def _parts(answer: _Answer, rest: Part) -> Iterator[Part]:
    """The answer, some configurations at a time; ``rest`` goes with the last of them."""
    step = max(1, _VALUES_PER_PART // max(1, answer.samples[0].size))
    for start in range(0, len(answer.samples), step):
        part: Part = {
            name: np.array(getattr(answer, name)[start : start + step])
            for name in ("log_marginal", "standard_error", "effective_sample_size")
        }
        part["samples"] = np.stack(answer.samples[start : start + step])
        yield part | (rest if start + step >= len(answer.samples) else {})
