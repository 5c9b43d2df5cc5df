"""The models that are served: trained for a moment by the service itself, and written down for everybody else."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from helmholtz import Client
from models_registry.blobs import BlobStore
from models_registry.database import Database
from models_registry.versions import Versions
from workers.engine.models import WarmModels
from workers.settings import Settings


@dataclass(frozen=True)
class Served:
    """A model, and the sizes at which it is measured."""

    name: str
    shape: tuple[int, int]
    spec: dict[str, Any]
    steps: int


MODELS = (
    Served("made", (8, 8), {"family": "made"}, 100),
    Served("pixelcnn", (16, 16), {"family": "pixelcnn", "width": 64}, 3),
    Served("mean-field", (32, 32), {"family": "mean_field"}, 50),
)


def publish(url: str) -> None:
    """Train all through the service; how well does not matter here."""
    with Client(url, timeout=300) as client:
        for model in MODELS:
            job = client.train(
                target={"kind": "ising", "shape": list(model.shape), "beta": 0.44},
                model=model.spec,
                training={"max_steps": model.steps, "batch_size": 100, "seed": 1},
                publish=model.name,
            )
            client.wait(job, timeout=600)


def save(data_dir: Path, folder: Path) -> dict[str, Path]:
    """The same modules with the same weights as the engine's: for each the path of what ``module.load`` reads."""
    settings = Settings(data_dir=data_dir)
    versions = Versions(Database(settings.resolved_database_url), BlobStore(settings.resolved_artifact_url))
    warm = WarmModels(versions, len(MODELS), torch.device("cpu"))
    paths = {}
    for model in MODELS:
        paths[model.name] = folder / f"{model.name}.safetensors"
        loaded = warm.get(model.name, 1)
        what = {"model": loaded.record.model_spec, "shape": model.shape}
        weights = {name: tensor.contiguous() for name, tensor in loaded.model({}).state_dict().items()}
        save_file(weights, paths[model.name], {"what": json.dumps(what)})
    return paths
