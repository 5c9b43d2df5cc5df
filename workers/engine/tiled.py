"""Operations on rows that are independent of each other, so that rows of several requests may share a tile."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from workers.engine.stacking import stack_of
from zoo.core.random import RandomStream, joined
from zoo.core.targets import Target
from zoo.core.tiles import SHARED_ROWS, Tile, tile_plan

if TYPE_CHECKING:
    from workers.engine.operations import Engine

Part = dict[str, Any]

PAUSE: Part = {}
"""What an operation yields where it has no part of the answer yet, and more to compute."""


@dataclass(frozen=True)
class Piece:
    """Rows ``tile.start`` to ``tile.start + tile.used`` of a request with this ``payload``."""

    payload: Part
    tile: Tile

    @property
    def is_shareable(self) -> bool:
        """Whether its tile is of the size that may be shared."""
        return self.tile.rows == SHARED_ROWS


class TiledOperation(ABC):
    """An operation that answers row by row.

    What a row gets is a pure function of its request, its number in it and the size of its tile: neither its place in
    the tile nor the rows beside it matter.
    """

    @abstractmethod
    def num_rows(self, payload: Part) -> int:
        """How many rows the answer has."""

    @abstractmethod
    def compute(self, engine: "Engine", pieces: Sequence[Piece]) -> list[Part]:
        """A part of the answer for each piece, from one batch that holds them all; they are of one ``group``."""

    def group(self, payload: Part) -> Hashable:
        """What requests have in common that may share a tile: the version, and the values of its conditions."""
        condition = payload.get("condition", {})
        return payload["model"], payload["version"], tuple(sorted(condition.items()))

    def pieces(self, engine: "Engine", payload: Part) -> list[Piece]:
        """The pieces of a request in their order."""
        largest = engine.models.largest_tile(payload["model"], payload["version"])
        return [Piece(payload, tile) for tile in tile_plan(self.num_rows(payload), largest)]

    def __call__(self, engine: "Engine", payload: Part) -> Iterator[Part]:
        """The parts of the answer to one request by itself."""
        for piece in self.pieces(engine, payload):
            yield from self.compute(engine, [piece])


@final
class Sample(TiledOperation):
    """``samples``, with what ``include`` names beside them; ``log_weight`` beside log_prob and energy."""

    def num_rows(self, payload: Part) -> int:
        """The number of samples."""
        return int(payload["n"])

    def compute(self, engine: "Engine", pieces: Sequence[Piece]) -> list[Part]:
        """Rows past the last piece draw on in its stream, and are dropped."""
        payload = pieces[0].payload
        condition = payload.get("condition", {})
        warm = engine.models.get(payload["model"], payload["version"])
        model = warm.model(condition)
        if pieces[0].is_shareable:
            warm.stacking.try_once(model, warm.nanoseconds)
        rows = batch_rows(pieces)
        rng = _streams(pieces, rows)
        included = {name for piece in pieces for name in piece.payload["include"]}
        arrays = {}
        if "log_prob" in included:
            x, log_prob = model.sample_and_log_ratio(rows, rng)
            arrays["log_prob"] = log_prob.cpu().numpy()
        else:
            x = model.sample(rows, rng)  # the same samples: some families take much longer for their likelihood
        arrays["samples"] = x.cpu().numpy()
        if "energy" in included:
            state = warm.state(condition)
            arrays["energy"] = energies(state.target, x, pieces[0]).cpu().numpy()
            if "log_prob" in included:
                arrays["log_weight"] = -state.beta * arrays["energy"] - arrays["log_prob"]
        return [_asked(piece, part) for piece, part in zip(pieces, _split(arrays, pieces), strict=True)]


@final
class LogLikelihood(TiledOperation):
    """``log_likelihood`` of the payload's ``samples``, float64."""

    def num_rows(self, payload: Part) -> int:
        """The number of configurations."""
        return len(payload["samples"])

    def compute(self, engine: "Engine", pieces: Sequence[Piece]) -> list[Part]:
        """Rows past the last piece repeat the first row, and are dropped."""
        payload = pieces[0].payload
        warm = engine.models.get(payload["model"], payload["version"])
        model = warm.density(payload.get("condition", {}))
        if pieces[0].is_shareable:
            warm.stacking.try_once(model, warm.nanoseconds)
        parts = [p.payload["samples"][p.tile.start : p.tile.start + p.tile.used] for p in pieces]
        room = batch_rows(pieces) - sum(len(part) for part in parts)
        rows = np.concatenate([*parts, np.repeat(parts[0][:1], room, axis=0)])
        found = model.log_prob(torch.from_numpy(rows).to(engine.device)).cpu().numpy()
        return _split({"log_likelihood": found}, pieces)


def energies(target: Target, x: torch.Tensor, piece: Piece) -> torch.Tensor:
    """E(x), for stacked tiles tile by tile: a product with more rows may sum in another order."""
    return torch.cat([target.energy(tile) for tile in torch.split(x, piece.tile.rows)])


def batch_rows(pieces: Sequence[Piece]) -> int:
    """How many rows are computed for the pieces: those of their tile, or of several shared ones that are stacked."""
    rows = pieces[0].tile.rows
    return rows if rows != SHARED_ROWS else stack_of(sum(piece.tile.used for piece in pieces))


def _streams(pieces: Sequence[Piece], rows: int) -> RandomStream:
    """The random numbers of ``rows`` rows: those of every piece, the last one's going on to the end."""
    used = [piece.tile.used for piece in pieces]
    used[-1] += rows - sum(used)
    seeds = [RandomStream(piece.payload["seed"], first=piece.tile.start) for piece in pieces]
    return joined(list(zip(seeds, used, strict=True)))


def _split(arrays: dict[str, NDArray[np.generic]], pieces: Sequence[Piece]) -> list[Part]:
    """The rows of each piece, in a tile that has them one after the other."""
    ends = np.cumsum([piece.tile.used for piece in pieces])
    return [
        {name: array[end - piece.tile.used : end] for name, array in arrays.items()}
        for piece, end in zip(pieces, ends, strict=True)
    ]


def _asked(piece: Piece, part: Part) -> Part:
    """Of the arrays of a tile those that a request wants: others may have shared it."""
    names = {"samples", *piece.payload["include"]}
    if {"log_prob", "energy"} <= names:
        names.add("log_weight")
    return {name: array for name, array in part.items() if name in names}
