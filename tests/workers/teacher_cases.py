"""Versions that are taught from: models with random weights, published as a train job publishes them."""

from pathlib import Path
from typing import Any

import numpy as np

from models_registry.artifacts import pack
from models_registry.blobs import BlobStore
from models_registry.database import Database
from models_registry.digests import canonical_digest
from models_registry.versions import VersionManifest, VersionRecord, Versions
from tests.conformance.cases import scramble
from workers.jobs.specs import TrainJobSpec
from zoo.catalog import build
from zoo.core.spaces import build_space

FIELD: dict[str, Any] = {"kind": "phi4", "shape": [2, 2], "mass_squared": 1.0, "coupling": 0.5}
ISING: dict[str, Any] = {"kind": "ising", "shape": [2, 2], "beta": 0.3}
MAF: dict[str, Any] = {"family": "maf", "layers": 2, "width": 8}
IAF: dict[str, Any] = {"family": "iaf", "layers": 2, "width": 8}


def publish(
    database: Database, folder: Path, name: str, model: dict[str, Any] = MAF, target: dict[str, Any] = FIELD
) -> VersionRecord:
    """A new version of the model ``name``, somewhere near where training begins."""
    spec = TrainJobSpec.model_validate({"target": target, "model": model})
    assert spec.target is not None
    weights: dict[str, Any] = {"nobody reads them": np.zeros(1)}
    if not spec.is_solved:
        built = build(spec.model, build_space(spec.target.space), seed=1)
        scramble(built, scale=0.1)
        weights = {key: tensor.detach().numpy() for key, tensor in built.state_dict().items()}
    described = spec.target.model_dump(mode="json")
    versions = Versions(database, BlobStore(folder.as_uri()))
    manifest = VersionManifest(
        model=name,
        job_id=f"job-{name}-{canonical_digest(model)}",
        target=described,
        space=spec.target.space.model_dump(mode="json"),
        model_spec=spec.model.model_dump(mode="json"),
        objective={"kind": "self_consistency"} if spec.is_solved else spec.principle.model_dump(mode="json"),
        training=spec.training.model_dump(mode="json"),
        seed=1,
        metrics={},
        target_digest=canonical_digest(described),
        libraries={},
    )
    data = pack(weights, manifest.model_dump(mode="json"))
    with database.transaction() as connection:
        return versions.publish(connection, manifest, BlobStore(folder.as_uri()).put(data), len(data))
