"""What an engine computes with a tiny model: equal bits for equal tiles, no influence of padding, nothing corrupt."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.workers.tiny_models import FAMILIES, TARGET, TinyRegistry
from workers.engine.models import WarmModels
from workers.engine.operations import OPERATIONS, Engine
from zoo.estimators.free_energy import importance_beta_f, variational_beta_f
from zoo.specs.errors import CorruptArtifactError, NotFoundError

CPU = torch.device("cpu")
BETA = TARGET["beta"]
Array = NDArray[Any]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def engine(registry: TinyRegistry) -> Engine:
    for family in FAMILIES:
        registry.publish(family)
    return Engine(WarmModels(registry.versions, 4, CPU), CPU)


def test_operations_that_take_turns_leave_autograd_as_it_was(engine: Engine) -> None:
    payload = {"model": "made", "version": 1, "seed": 1, "n": 5000}
    turns = [
        engine.run("free_energy", payload | {"method": "importance", "condition": {}, "exact_seconds": 0})
        for _ in (0, 1)
    ]
    for _ in range(2):
        for each in turns:
            next(each)
            assert not torch.is_inference_mode_enabled()
    for each in turns:
        each.close()
    assert not torch.is_inference_mode_enabled()


def ask(engine: Engine, operation: str, **payload: object) -> list[dict[str, Any]]:
    return [part for part in engine.run(operation, payload) if part is not None]


def draw(engine: Engine, family: str, n: int, seed: int = 1, include: tuple[str, ...] = ()) -> dict[str, Array]:
    """All arrays of a sample request."""
    parts = ask(engine, "sample", model=family, version=1, n=n, seed=seed, include=list(include))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def log_likelihood(engine: Engine, family: str, samples: Array) -> Array:
    parts = ask(engine, "log_likelihood", model=family, version=1, samples=samples)
    return np.concatenate([part["log_likelihood"] for part in parts])


def ising_energy(samples: Array) -> Array:
    """-sum over the periodic lattice's bonds of s_i s_j, in float64, written out."""
    s = samples.astype(np.float64)
    energy: Array = -(s * np.roll(s, 1, 1) + s * np.roll(s, 1, 2)).sum((1, 2))
    return energy


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("few", "many"), [(5, 32), (33, 64), (256, 300), (2048, 2080)])
def test_requests_with_the_same_tiles_have_the_same_rows(engine: Engine, family: str, few: int, many: int) -> None:
    include = ("log_prob", "energy")
    short, long = draw(engine, family, few, include=include), draw(engine, family, many, include=include)
    for name, array in short.items():
        assert array.tobytes() == long[name][:few].tobytes(), name


@pytest.mark.parametrize("family", FAMILIES)
def test_a_seed_decides_the_samples(engine: Engine, family: str) -> None:
    again = Engine(WarmModels(engine.models._versions, 4, CPU), CPU)
    first = draw(engine, family, 40, seed=7)["samples"]
    assert first.tobytes() == draw(again, family, 40, seed=7)["samples"].tobytes()
    assert first.tobytes() != draw(engine, family, 40, seed=8)["samples"].tobytes()
    assert first.shape == (40, 4, 4)
    assert set(np.unique(first)) == {-1, 1}


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_included_belongs_together(engine: Engine, family: str) -> None:
    drawn = draw(engine, family, 70, include=("log_prob", "energy"))
    np.testing.assert_allclose(drawn["energy"], ising_energy(drawn["samples"]), atol=1e-9)
    np.testing.assert_array_equal(drawn["log_weight"], -BETA * drawn["energy"] - drawn["log_prob"])
    evaluated = log_likelihood(engine, family, drawn["samples"])
    np.testing.assert_allclose(evaluated, drawn["log_prob"], atol=1e-5 * np.abs(evaluated).max())
    assert draw(engine, family, 2).keys() == {"samples"}
    assert draw(engine, family, 2, include=("energy",)).keys() == {"samples", "energy"}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rows", [1, 2, 31])
def test_padding_has_no_influence(engine: Engine, family: str, rows: int) -> None:
    samples = draw(engine, family, 32)["samples"]
    full = log_likelihood(engine, family, samples)
    assert log_likelihood(engine, family, samples[:rows]).tobytes() == full[:rows].tobytes()


@pytest.mark.parametrize("family", FAMILIES)
def test_neighbours_have_no_influence(engine: Engine, family: str) -> None:
    ours, others = draw(engine, family, 1, seed=1)["samples"], draw(engine, family, 32, seed=2)["samples"]
    alone = log_likelihood(engine, family, ours)[0]
    for position in (0, 1, 15, 31):
        mixed, repeated = others.copy(), np.repeat(ours, 32, axis=0)
        mixed[position] = ours[0]
        among_others = log_likelihood(engine, family, mixed)[position]
        assert among_others == log_likelihood(engine, family, repeated)[position]
        assert among_others == pytest.approx(alone, abs=1e-5 * abs(alone))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_tile_size_agrees(engine: Engine, family: str) -> None:
    samples = draw(engine, family, 2048)["samples"]
    by_2048 = log_likelihood(engine, family, samples)
    by_256 = np.concatenate([log_likelihood(engine, family, samples[i : i + 256]) for i in range(0, 2048, 256)])
    np.testing.assert_allclose(by_256, by_2048, atol=1e-5 * np.abs(by_2048).max())
    assert by_2048.dtype == np.float64


@pytest.mark.parametrize("family", FAMILIES)
def test_a_free_energy_is_the_estimate_of_the_samples_with_its_seed(engine: Engine, family: str) -> None:
    weights = draw(engine, family, 300, seed=4, include=("log_prob", "energy"))["log_weight"]
    *progress, last = ask(engine, "free_energy", model=family, version=1, n=300, seed=4, method="auto")
    assert [part["progress"]["num_samples"] for part in progress] == [256, 288, 300]
    assert progress[-1]["progress"]["fraction"] == 1
    assert last["estimate"]["value"] == pytest.approx(importance_beta_f(weights).value, abs=1e-9)
    assert last["upper_bound"]["value"] == pytest.approx(variational_beta_f(weights).value, abs=1e-9)
    *_, bound = ask(engine, "free_energy", model=family, version=1, n=300, seed=4, method="variational")
    assert bound["estimate"] == last["upper_bound"]


def test_energies_are_those_of_the_formula(engine: Engine) -> None:
    samples = draw(engine, "made", 50)["samples"]
    parts = ask(engine, "energy", target=TARGET, samples=samples, force=False)
    np.testing.assert_allclose(np.concatenate([part["energy"] for part in parts]), ising_energy(samples), atol=1e-9)
    assert all(set(part) == {"energy"} for part in parts)


def test_the_reference_is_the_sum_over_all_states(engine: Engine) -> None:
    states = 1 - 2 * (np.arange(2**16)[:, None] >> np.arange(16) & 1).reshape(-1, 4, 4)
    exponents = -BETA * ising_energy(states)
    exact = -(exponents.max() + np.log(np.exp(exponents - exponents.max()).sum()))
    (part,) = ask(engine, "reference", target=TARGET)
    assert part["beta_f"] == pytest.approx(exact, abs=1e-9)


def test_a_version_that_does_not_exist_is_not_found(engine: Engine) -> None:
    with pytest.raises(NotFoundError):
        ask(engine, "sample", model="made", version=9, n=1, seed=1, include=[])


@pytest.mark.parametrize("operation", ["sample", "log_likelihood", "free_energy"])
def test_corrupt_weights_are_never_served(registry: TinyRegistry, operation: str) -> None:
    record = registry.publish("made")
    registry.flip_a_bit(record)
    engine = Engine(WarmModels(registry.versions, 4, CPU), CPU)
    payload = {"model": "made", "version": 1, "n": 1, "seed": 1, "include": [], "method": "auto"}
    for _ in range(2):  # the second time it is refused as quarantined
        with pytest.raises(CorruptArtifactError, match="quarantined"):
            ask(engine, operation, **payload, samples=np.ones((1, 4, 4), np.int8))
    assert registry.versions.get("made", 1).state == "quarantined"


def test_intact_weights_of_another_version_are_still_served(registry: TinyRegistry) -> None:
    registry.flip_a_bit(registry.publish("made", seed=1))
    registry.publish("made", seed=2)
    engine = Engine(WarmModels(registry.versions, 4, CPU), CPU)
    with pytest.raises(CorruptArtifactError):
        ask(engine, "sample", model="made", version=1, n=1, seed=1, include=[])
    assert len(ask(engine, "sample", model="made", version=2, n=1, seed=1, include=[])) == 1


def test_the_least_recently_used_model_is_dropped(registry: TinyRegistry) -> None:
    for seed in (1, 2, 3):
        registry.publish("made", seed=seed)
    warm = WarmModels(registry.versions, 2, CPU)
    first, second = warm.get("made", 1), warm.get("made", 2)
    assert warm.get("made", 1) is first
    warm.get("made", 3)
    assert warm.get("made", 1) is first
    assert warm.get("made", 2) is not second


def test_the_operations_are_those_of_the_api() -> None:
    assert set(OPERATIONS) >= {"sample", "log_likelihood", "free_energy", "free_energy_curve", "energy", "reference"}
