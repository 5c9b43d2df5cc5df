import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from models_registry.aliases import Aliases
from models_registry.blobs import BlobStore
from models_registry.database import Database
from models_registry.digests import canonical_digest
from models_registry.estimates import Estimates
from models_registry.migrate import migrate
from models_registry.versions import VersionManifest, VersionRecord, Versions

Publish = Callable[..., VersionRecord]
TARGET = {"kind": "ising", "shape": [8, 8], "beta": 0.44}


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database that nobody writes to."""
    file = tmp_path_factory.mktemp("migrated") / "registry.db"
    migrate(f"sqlite:///{file}")
    return file


@pytest.fixture
def database_file(migrated_file: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(migrated_file, tmp_path / "registry.db"))


@pytest.fixture
def database(database_file: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{database_file}")
    yield database
    database.dispose()


@pytest.fixture
def blob_root(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture
def blobs(blob_root: Path) -> BlobStore:
    return BlobStore(blob_root.as_uri())


@pytest.fixture
def versions(database: Database, blobs: BlobStore) -> Versions:
    return Versions(database, blobs)


@pytest.fixture
def aliases(database: Database) -> Aliases:
    return Aliases(database)


@pytest.fixture
def estimates(database: Database) -> Estimates:
    return Estimates(database)


@pytest.fixture
def publish(database: Database, blobs: BlobStore, versions: Versions) -> Publish:
    """Publishes versions with made-up weights."""
    numbers = iter(range(1_000_000))

    def publish_one(
        model: str = "m",
        beta_f: float | None = -70.0,
        sigma: float | None = 0.01,
        *,
        target: dict[str, Any] | None = TARGET,
        source: dict[str, Any] | None = None,
        metrics: dict[str, Any] | None = None,
        weights: bytes | None = None,
        job_id: str | None = None,
    ) -> VersionRecord:
        number = next(numbers)
        data = b"weights of %d" % number if weights is None else weights
        own = {"variational_beta_f": beta_f, "standard_error": sigma, "effective_sample_fraction": 0.9}
        manifest = VersionManifest(
            model=model,
            job_id=job_id or f"job-{number}",
            target=target,
            model_spec={"family": "made"},
            objective={"kind": "reverse_kl"},
            training={"max_steps": 10},
            seed=2**53 - 1,
            metrics=own if metrics is None else metrics,
            target_digest=canonical_digest(target or source),
            libraries={"torch": "2.13.0"},
        )
        with database.transaction() as connection:
            return versions.publish(connection, manifest, blobs.put(data), len(data))

    return publish_one
