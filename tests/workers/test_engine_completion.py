"""Completions by an engine: what is known stays, what is drawn is a function of the seed, and both routes agree."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.workers.tiny_models import FAMILIES, TinyRegistry
from workers.engine.models import WarmModel, WarmModels
from workers.engine.operations import Engine
from zoo.catalog import build_model
from zoo.core.spaces import build_space
from zoo.specs.errors import LimitExceededError
from zoo.specs.models.made import MadeSpec
from zoo.specs.spaces import SpaceSpec

CPU = torch.device("cpu")
Array = NDArray[Any]
UPPER = np.arange(16).reshape(4, 4) < 8
CHECKERBOARD = np.indices((4, 4)).sum(0) % 2 == 0
GIVEN: Array = np.random.default_rng(1).choice(np.array([-1, 1], dtype=np.int8), size=(5, 4, 4))


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


def complete(engine: Engine, mask: Array, samples: Array = GIVEN, **changed: object) -> dict[str, Any]:
    """The joined arrays of a completion, and what came with its last part."""
    asked = {"model": "made", "version": 1, "n": 3, "proposals": 200, "seed": 4, "max_values": 2**24} | changed
    known = np.ascontiguousarray(np.broadcast_to(mask, samples.shape))
    payload = asked | {"samples": samples, "mask": known}
    parts = [part for part in engine.run("complete", payload) if part]
    arrays = {
        name: np.concatenate([p[name] for p in parts]) for name, v in parts[0].items() if isinstance(v, np.ndarray)
    }
    return parts[-1] | arrays


def log_marginals(engine: Engine, family: str, mask: Array, samples: Array) -> Array:
    """ln q of the known part by summing over all 2^8 values of the other half."""
    model = engine.models.get(family, 1).density({})
    rest = np.array(list(product((-1, 1), repeat=int((~mask).sum()))), dtype=np.int8)
    sums = []
    for sample in samples:
        every = np.repeat(sample[None], len(rest), axis=0)
        every[:, ~mask] = rest
        with torch.no_grad():
            sums.append(float(torch.logsumexp(model.log_prob(torch.from_numpy(every)), 0)))
    return np.array(sums)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("mask", "exact"), [(UPPER, True), (CHECKERBOARD, False)])
def test_known_sites_stay_and_their_probability_is_right(
    engine: Engine,
    family: str,
    mask: Array,
    exact: bool,  # noqa: FBT001
) -> None:
    found = complete(engine, mask, model=family, proposals=2000)
    assert found["exact"] == exact
    assert found["samples"].shape == (5, 3, 4, 4)
    assert found["samples"].dtype == np.int8
    assert set(np.unique(found["samples"])) == {-1, 1}
    assert (found["samples"][:, :, mask] == GIVEN[:, None][:, :, mask]).all()
    assert np.ptp(found["samples"], axis=1).any()
    error = 1e-5 if exact else 4 * found["standard_error"] + 1e-5
    assert (np.abs(found["log_marginal"] - log_marginals(engine, family, mask, GIVEN)) < error).all()
    assert found["warnings"] == []


@pytest.mark.parametrize("mask", [UPPER, CHECKERBOARD])
def test_the_seed_decides_and_a_configuration_knows_nothing_of_those_behind_it(engine: Engine, mask: Array) -> None:
    first, again, other = complete(engine, mask), complete(engine, mask), complete(engine, mask, seed=5)
    assert first["samples"].tobytes() == again["samples"].tobytes()
    assert first["samples"].tobytes() != other["samples"].tobytes()
    changed = GIVEN.copy()
    changed[3:] *= -1
    assert complete(engine, mask, changed)["samples"][:3].tobytes() == first["samples"][:3].tobytes()


def test_equal_configurations_get_completions_of_their_own(engine: Engine) -> None:
    same = np.repeat(GIVEN[:1], 40, axis=0)
    for mask in (UPPER, CHECKERBOARD):
        drawn = complete(engine, mask, same, n=1)["samples"].reshape(40, -1)
        assert len(np.unique(drawn, axis=0)) > 10


def test_everything_known_is_its_own_completion_and_nothing_known_is_a_sample(engine: Engine) -> None:
    whole = complete(engine, np.ones((4, 4), dtype=bool))
    assert whole["exact"]
    assert (whole["samples"] == GIVEN[:, None]).all()
    model = engine.models.get("made", 1).density({})
    with torch.no_grad():
        assert np.allclose(whole["log_marginal"], model.log_prob(torch.from_numpy(GIVEN)), atol=1e-12)
    nothing = complete(engine, np.zeros((4, 4), dtype=bool))
    assert nothing["exact"]
    assert (nothing["log_marginal"] == 0).all()


def test_a_model_that_averages_over_images_knows_the_probability_of_a_whole_configuration(engine: Engine) -> None:
    """Its proposal tells the weight under one image, drawn at random."""
    spec = MadeSpec.model_validate({"width": 24, "symmetry": "lattice_point_group"})
    model = build_model(spec, build_space(SpaceSpec(kind="spins", event_shape=(4, 4))), seed=5)
    record = engine.models.get("made", 1).record
    engine.models._models["averaged", 1] = WarmModel(record, model, None)
    whole = complete(engine, np.ones((4, 4), dtype=bool), model="averaged")
    assert whole["exact"]
    with torch.no_grad():
        assert np.allclose(whole["log_marginal"], model.log_prob(torch.from_numpy(GIVEN)), atol=1e-12)
    assert not complete(engine, UPPER, model="averaged")["exact"]
    mixed = complete(engine, np.stack([np.ones((4, 4), dtype=bool), *[UPPER] * 4]), model="averaged")
    assert not mixed["exact"]
    assert mixed["log_marginal"][0] == whole["log_marginal"][0]
    assert mixed["standard_error"][0] == 0 < mixed["standard_error"][1]


def test_the_marginal_alone_needs_no_completions(engine: Engine) -> None:
    for mask in (UPPER, CHECKERBOARD):
        alone, beside = complete(engine, mask, n=0), complete(engine, mask)
        assert alone["samples"].shape == (5, 0, 4, 4)
        assert np.allclose(alone["log_marginal"], beside["log_marginal"], atol=1e-6)


def test_masks_may_differ_between_configurations(engine: Engine) -> None:
    masks = np.stack([UPPER, CHECKERBOARD, ~UPPER, ~CHECKERBOARD, UPPER])
    found = complete(engine, masks)
    assert not found["exact"]
    for given, mask, completed in zip(GIVEN, masks, found["samples"], strict=True):
        assert (completed[:, mask] == given[mask]).all()


def test_too_few_effective_proposals_are_told(engine: Engine) -> None:
    found = complete(engine, CHECKERBOARD, proposals=20)
    assert "20" in found["warnings"][0]


def test_the_work_is_limited_where_it_is_needed(engine: Engine) -> None:
    with pytest.raises(LimitExceededError, match="at most 99 are allowed"):
        complete(engine, CHECKERBOARD, proposals=100, max_values=99 * 5 * 16)
    assert complete(engine, UPPER, proposals=100, max_values=1)["exact"]
