"""What the server of reference processes imports before it forks: every target, with torch and scipy."""

from importlib import import_module

import workers.engine.solver
from zoo.catalog import TARGETS

__all__ = ["workers"]

for _path in TARGETS.values():
    import_module(_path.partition(":")[0])
