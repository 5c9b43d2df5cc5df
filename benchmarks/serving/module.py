"""The bare module: what is served, without any service."""

import json
from pathlib import Path

from pydantic import TypeAdapter
from safetensors import safe_open
from safetensors.torch import load_file

from zoo.catalog import AnyModel, build_model
from zoo.core.models import Model
from zoo.core.spaces import Spins
from zoo.specs.models.base import ModelSpec
from zoo.specs.spaces import SpaceSpec

_MODELS: TypeAdapter[ModelSpec] = TypeAdapter(AnyModel)


def load(path: Path) -> Model:
    """A network on spins with the weights of a file, ready to be drawn from."""
    with safe_open(path, "pt") as file:
        what = json.loads(file.metadata()["what"])
    space = Spins(SpaceSpec(kind="spins", event_shape=tuple(what["shape"])))
    model = build_model(_MODELS.validate_python(what["model"]), space, seed=0)
    model.load_state_dict(load_file(path))
    return model.eval().requires_grad_(requires_grad=False)
