"""Bring the database to the newest schema, once, before all else: ``python -m service.launcher.migrate``."""

import sys

from models_registry.migrate import migrate
from workers.settings import read_settings
from zoo.specs.errors import HelmholtzError


def main() -> int:
    """Migrate; the exit code is 2 when the database cannot be used."""
    try:
        settings = read_settings()
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        migrate(settings.resolved_database_url)
    except (HelmholtzError, OSError) as error:
        sys.stderr.write(f"helmholtz migrate: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
