"""Weights of a version fit the model of its spec, under their present names or those of the first release."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from workers.published_weights import load_weights
from zoo.catalog import build_model
from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.spaces import build_space
from zoo.specs.errors import StateConflictError
from zoo.specs.models.made import MadeSpec
from zoo.specs.spaces import SpaceKind, SpaceSpec


def model_of(kind: SpaceKind, seed: int, width: int = 8) -> Model:
    return build_model(MadeSpec(width=width), build_space(SpaceSpec(kind=kind, event_shape=(3, 3))), seed)


def arrays_of(model: Model) -> dict[str, NDArray[np.generic]]:
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("kind", ["spins", "bits"])
@pytest.mark.parametrize("prefix", ["network.", ""])
def test_present_and_first_names_give_the_same_model(kind: SpaceKind, prefix: str) -> None:
    published, fresh = model_of(kind, seed=1), model_of(kind, seed=2)
    named = {name.replace("network.", prefix): array for name, array in arrays_of(published).items()}
    assert bool(prefix) == any("network." in name for name in named)
    load_weights(fresh, named, "version 1 of 'm'")
    x = published.sample(50, RandomStream(1))
    assert torch.equal(published.log_prob(x), fresh.log_prob(x))


def test_weights_of_another_form_are_refused_in_words() -> None:
    with pytest.raises(
        StateConflictError, match=r"version 3 of 'old'.*another release.*train the model anew"
    ) as caught:
        load_weights(model_of("spins", seed=1), arrays_of(model_of("spins", seed=1, width=9)), "version 3 of 'old'")
    assert caught.value.reason == "WEIGHTS_DO_NOT_FIT"
