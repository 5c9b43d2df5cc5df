"""Untrained models on a 4x4 lattice, published as a train job publishes them."""

from pathlib import Path
from typing import Any

from torch import Tensor

from models_registry.artifacts import pack
from models_registry.blobs import BlobStore
from models_registry.database import Database
from models_registry.digests import canonical_digest
from models_registry.versions import VersionManifest, VersionRecord, Versions
from workers.jobs.specs import TrainJobSpec
from zoo.catalog import build_model, build_target

TARGET: dict[str, Any] = {"kind": "ising", "shape": [4, 4], "beta": 0.44}
FAMILIES: dict[str, dict[str, Any]] = {
    "made": {"family": "made", "width": 24},
    "pixelcnn": {"family": "pixelcnn", "width": 8, "depth": 2},
}
LARGE: dict[str, dict[str, Any]] = {"wide": {"family": "made", "width": 1024}}
"""130 kB of weights."""


class TinyRegistry:
    """Publishes untrained models into a database and a folder of blobs."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.blobs = BlobStore(folder.as_uri())
        self.versions = Versions(database, self.blobs)

    def publish(self, family: str, *, seed: int = 5) -> VersionRecord:
        """A new version of the model ``family``, its weights drawn from ``seed``."""
        spec = TrainJobSpec.model_validate({"target": TARGET, "model": (FAMILIES | LARGE)[family]})
        assert spec.target is not None
        space = build_target(spec.target).space
        model = build_model(spec.model, space, seed)
        target = spec.target.model_dump(mode="json")
        manifest = VersionManifest(
            model=family,
            job_id=f"job-{family}-{seed}",
            target=target,
            space=space.spec.model_dump(mode="json"),
            model_spec=spec.model.model_dump(mode="json"),
            objective=spec.principle.model_dump(mode="json"),
            training=spec.training.model_dump(mode="json"),
            seed=seed,
            metrics={},
            target_digest=canonical_digest(target),
            libraries={},
        )
        weights: dict[str, Tensor] = model.state_dict()
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in weights.items()}
        data = pack(arrays, manifest.model_dump(mode="json"))
        with self.database.transaction() as connection:
            return self.versions.publish(connection, manifest, self.blobs.put(data), len(data))

    def flip_a_bit(self, record: VersionRecord) -> None:
        """Damage the stored weights of a version."""
        (path,) = (p for p in self.folder.rglob("*") if p.is_file() and record.digest in p.name)
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.chmod(0o644)
        path.write_bytes(data)
