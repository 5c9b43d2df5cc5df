"""What a request will cost: seconds of computing as a linear function of its rows, learnt from the answers."""

from dataclasses import dataclass
from math import inf
from typing import Any

from zoo.specs.corrections import rows_evaluated

_FORGETTING = 0.9  # weight of an answer after each newer one: about the last ten count
_SECONDS_PER_ROW = 1e-4  # before anything is known
_MOST_KINDS = 4096
_FAR = 4  # times the largest request seen: as far as a line is believed

Payload = dict[str, Any]
Kind = tuple[str, ...]


def num_rows(operation: str, payload: Payload) -> int:
    """How many rows an engine works through for a request; the cost grows in proportion."""
    match operation:
        case "sample" | "free_energy":
            return int(payload["expected_samples"] if "expected_samples" in payload else payload["n"])
        case "sample_corrected":
            return rows_evaluated(payload["correction"], int(payload["n"]))
        case "free_energy_curve":
            return int(payload["n"]) * len(payload["conditions"])
        case "complete":
            return len(payload["samples"]) * max(int(payload["n"]), int(payload["proposals"]))
        case "log_likelihood" | "class_log_likelihood" | "energy":
            return len(payload["samples"])
    return 1


def kind_of(operation: str, payload: Payload) -> Kind:
    """Requests whose costs are alike, but for their rows: one operation on one version, or on one kind of target.

    Each correction of samples is an operation of its own.
    """
    if "version" in payload:
        what = f"{operation}:{payload['correction']}" if "correction" in payload else operation
        return what, payload["model"], str(payload["version"])
    return operation, str(payload.get("target", {}).get("kind", ""))


@dataclass
class _Line:
    """A weighted least-squares line through (rows, seconds) with neither part negative."""

    weight: float = 0.0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0
    most: int = 0
    """The largest number of rows."""

    def add(self, rows: int, seconds: float) -> None:
        self.most = max(self.most, rows)
        for name, value in (("weight", 1.0), ("x", rows), ("y", seconds), ("xx", rows * rows), ("xy", rows * seconds)):
            setattr(self, name, _FORGETTING * getattr(self, name) + value)

    def at(self, rows: int, slope_elsewhere: float) -> float:
        spread = self.weight * self.xx - self.x**2
        if spread > 1e-6 * self.x**2:
            slope = (self.weight * self.xy - self.x * self.y) / spread
            offset = (self.y - slope * self.x) / self.weight
            if slope < 0:
                return self.y / self.weight
            return offset + slope * rows if offset >= 0 else rows * self.xy / self.xx
        mean = self.y / self.weight
        few = rows * self.xy / self.xx  # what has been seen is of one size, and more rows cost no more each
        return few if rows * self.weight <= self.x else min(few, mean + slope_elsewhere * (rows - self.x / self.weight))


class CostModel:
    """Estimates for every kind of request that has been answered of late."""

    def __init__(self) -> None:
        self._lines: dict[Kind, _Line] = {}
        self._nominal: dict[tuple[str, str], float] = {}

    def introduce(self, model: str, version: int, seconds_per_row: float) -> None:
        """Say what a row of a version is expected to cost, before any of its answers is known."""
        if len(self._nominal) >= _MOST_KINDS:
            self._nominal.clear()
        self._nominal[model, str(version)] = seconds_per_row

    def learn(self, operation: str, payload: Payload, seconds: float) -> None:
        """Take note of what an answer took, where its rows were known before."""
        if "expected_samples" in payload:
            return
        if len(self._lines) >= _MOST_KINDS:
            self._lines.clear()
        self._lines.setdefault(kind_of(operation, payload), _Line()).add(num_rows(operation, payload), seconds)

    def knows(self, operation: str, payload: Payload) -> bool:
        """Whether a request of this kind, and not of another order of size, has been answered before.

        A row costs several times as much in a small tile as in a large one, so a line through small requests is steep.
        """
        line = self._lines.get(kind_of(operation, payload))
        return line is not None and num_rows(operation, payload) <= _FAR * line.most

    def seconds(self, operation: str, payload: Payload) -> float:
        """The computing time that a request will take."""
        rows, kind = num_rows(operation, payload), kind_of(operation, payload)
        per_row = self._nominal.get((kind[1], kind[-1]), _SECONDS_PER_ROW)
        line = self._lines.get(kind)
        longest = (
            float(payload["accuracy"]["max_seconds"]) if "accuracy" in payload else inf
        )  # no sample is drawn later
        if line is None:
            return min(rows * per_row, longest)
        near = min(rows, _FAR * line.most)
        return min(line.at(near, per_row) + (rows - near) * per_row, longest)
