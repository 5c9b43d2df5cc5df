"""Free energies of a warm model: one estimate, or a curve over inverse temperatures, with exact values beside them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64
from pydantic import TypeAdapter

from workers.engine.accuracy import Accuracy, drawn_until, what_was_missed
from workers.engine.models import Condition, WarmApproximation, WarmModel
from zoo.catalog import AnyTarget
from zoo.core.random import RandomStream
from zoo.core.self_consistency import Solution
from zoo.estimators.free_energy import importance_beta_f, variational_beta_f
from zoo.estimators.thermodynamics import thermodynamics
from zoo.estimators.weights import Vector
from zoo.specs.estimate import Estimate
from zoo.specs.targets.base import TargetSpec

if TYPE_CHECKING:
    from workers.engine.operations import Engine

_TYPE_OF_TARGET: TypeAdapter[TargetSpec] = TypeAdapter(AnyTarget)

Part = dict[str, Any]


@dataclass
class _Drawn:
    """Log-weights -beta E - log q of model samples, and their reduced energies beta E; ``weights`` grow by tiles."""

    log_weights: list[Float64[np.ndarray, " sample"]]
    reduced_energies: list[Float64[np.ndarray, " sample"]]


def free_energy(engine: "Engine", payload: Part) -> Iterator[Part | None]:
    """Progress parts, then the estimate: by importance weights or the variational bound of ``n`` samples.

    With ``accuracy`` as many more as that asks for, and whether it was ``target_reached``.  With ``exact_seconds`` the
    exact value at the condition stands beside it where it is found in that time.
    """
    warm = engine.models.get(payload["model"], payload["version"])
    condition, n = payload.get("condition", {}), payload["n"]
    warm.state(condition)  # refused before anything is started
    seconds = payload.get("exact_seconds", 0.0)
    if warm.approximation is not None:
        yield from _approximated(engine, warm, warm.approximation, condition, seconds)
        return
    wish = Accuracy(**payload["accuracy"]) if "accuracy" in payload else None
    with engine.references.search(_specs(warm, [condition] if seconds else []), seconds) as search:
        drawn, rng = _Drawn([], []), RandomStream(payload["seed"])

        def draw(start: int, stop: int) -> Iterator[Vector]:
            for _ in _draw(warm, condition, range(start, stop), rng, drawn):
                yield drawn.log_weights[-1]

        spent = yield from drawn_until(draw, n, payload["method"], wish)
        yield from search.remaining()
    log_weights = np.concatenate(drawn.log_weights)
    if payload["method"] != "variational" and np.isneginf(log_weights).any():  # the bound is infinite
        estimate = importance_beta_f(log_weights)
        answer: Part = {"upper_bound": None}
    else:
        bound = variational_beta_f(log_weights)
        estimate = bound if payload["method"] == "variational" else importance_beta_f(log_weights)
        answer = {"upper_bound": _plain(bound)}
    if wish is not None:
        missed = what_was_missed(wish, spent, estimate.num_samples, estimate.standard_error)
        estimate = estimate.model_copy(update={"warnings": estimate.warnings + missed})
        answer["target_reached"] = not missed
    answer["estimate"] = _plain(estimate)
    yield answer | ({"exact": search.answers[0]} if seconds else {})


def _approximated(
    engine: "Engine", warm: WarmModel, approximation: WarmApproximation, condition: Condition, seconds: float
) -> Iterator[Part | None]:
    """None while equations are solved, then the estimate, which is no bound and comes from no samples."""
    solving = approximation.solve(warm.state(condition))
    with engine.references.search(_specs(warm, [condition] if seconds else []), seconds) as search:
        while True:
            try:
                next(solving)
            except StopIteration as end:
                solution: Solution = end.value
                break
            yield None
        yield from search.remaining()
    answer = {
        "estimate": _plain(approximation.equations.estimate(solution)),
        "upper_bound": None,
        "why": f"{warm.record.model_spec['family']}: the family has a free energy and no samples to weigh",
    }
    yield answer | ({"exact": search.answers[0]} if seconds else {})


def free_energy_curve(engine: "Engine", payload: Part) -> Iterator[Part | None]:
    """Progress parts, then ``points``: the estimates at each of the ``conditions``, from ``n`` samples each.

    Point k draws from stream ``RandomStream(seed).spawn(k)``: points are independent of each other, and the first ones
    of a longer list are those of the shorter.
    """
    warm = engine.models.get(payload["model"], payload["version"])
    conditions, n, rng = payload["conditions"], payload["n"], RandomStream(payload["seed"])
    warm.state(conditions[0])  # refused before anything is started
    points = []
    with engine.references.search(_specs(warm, conditions), payload["exact_seconds"]) as search:
        for k, condition in enumerate(conditions):
            drawn = _Drawn([], [])
            for done in _draw(warm, condition, range(n), rng.spawn(k), drawn):
                total = k * n + done
                yield {"progress": {"num_samples": total, "fraction": total / (n * len(conditions))}}
            points.append(_point(drawn, warm.state(condition).beta))
        yield from search.remaining()
    yield {"points": [point | {"exact": exact} for point, exact in zip(points, search.answers, strict=True)]}


def _draw(warm: WarmModel, condition: Condition, rows: range, rng: RandomStream, drawn: _Drawn) -> Iterator[int]:
    """The number of samples drawn so far, after each tile; ``drawn`` collects what they weigh."""
    model, state = warm.model(condition), warm.state(condition)
    for tile in warm.tiles(len(rows)):
        x, log_prob = model.sample_and_log_ratio(tile.rows, rng.at(rows.start + tile.start))
        reduced = state.reduced_energy(x)
        drawn.log_weights.append((-reduced - log_prob)[: tile.used].cpu().numpy())
        drawn.reduced_energies.append(reduced[: tile.used].cpu().numpy())
        yield rows.start + tile.start + tile.used


def _point(drawn: _Drawn, beta: float) -> Part:
    """The estimates at one beta, by name."""
    found = thermodynamics(np.concatenate(drawn.log_weights), np.concatenate(drawn.reduced_energies) / beta, beta)
    return {field.name: _plain(getattr(found, field.name)) for field in fields(found)}


def _specs(warm: WarmModel, conditions: Sequence[Condition]) -> list[TargetSpec]:
    """The target at each of the conditions; its other parameters, and what is no parameter of it, as they are."""
    target = _TYPE_OF_TARGET.validate_python(warm.record.target)
    return [
        target.model_copy(update={name: value for name, value in condition.items() if name != "label"})
        for condition in conditions
    ]


def _plain(estimate: Estimate) -> Part:
    return estimate.model_dump(mode="json")
