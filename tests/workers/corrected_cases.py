"""Small untrained models whose samples are corrected, and the questions to them."""

from typing import Any

import numpy as np

from models_registry.artifacts import pack
from models_registry.digests import canonical_digest
from models_registry.versions import VersionManifest
from tests.workers.tiny_models import TinyRegistry
from workers.jobs.specs import TrainJobSpec
from zoo.catalog import build, build_target

PHI4 = {"kind": "phi4", "shape": [2, 2], "mass_squared": -1.0, "coupling": 2.0}
ISING = {"kind": "ising", "shape": [2, 3], "beta": 0.3}
MODELS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "flow": (PHI4, {"family": "realnvp", "couplings": 2, "width": 8, "scale": 0.6}),
    "even": (PHI4, {"family": "realnvp", "couplings": 2, "width": 8, "scale": 0.6, "symmetry": "z2"}),
    "conditioned": (
        PHI4,
        {"family": "realnvp", "couplings": 2, "width": 8, "condition_on": {"mass_squared": [-2.0, 0.0]}},
    ),
    "made": (ISING, {"family": "made", "width": 8}),
}
CONDITIONS = {"conditioned": {"mass_squared": -1.5}}


def publish(registry: TinyRegistry, name: str) -> None:
    """An untrained model of ``MODELS``."""
    own, model = MODELS[name]
    spec = TrainJobSpec.model_validate({"target": own, "model": model})
    assert spec.target is not None
    built = build(spec.model, build_target(spec.target).space, 3)
    told = spec.target.model_dump(mode="json")
    manifest = VersionManifest(
        model=name,
        job_id=f"job-{name}",
        target=told,
        space=spec.target.space.model_dump(mode="json"),
        model_spec=spec.model.model_dump(mode="json"),
        objective={},
        training={},
        seed=3,
        metrics={},
        target_digest=canonical_digest(told),
        libraries={},
    )
    arrays = {key: tensor.numpy() for key, tensor in built.state_dict().items()}
    data = pack(arrays, manifest.model_dump(mode="json"))
    with registry.database.transaction() as connection:
        registry.versions.publish(connection, manifest, registry.blobs.put(data), len(data))


def question(model: str, correction: str, n: int, seed: int = 1, *include: str) -> dict[str, Any]:
    asked = {"model": model, "version": 1, "n": n, "seed": seed, "correction": correction, "include": list(include)}
    return asked | {"condition": CONDITIONS.get(model, {})}


def joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The arrays of the parts, and the diagnostics of the last."""
    rows = [part for part in parts if "samples" in part]
    arrays = {name: np.concatenate([part[name] for part in rows]) for name in rows[0]}
    return arrays | {"diagnostics": parts[-1]["diagnostics"]}
