"""How large the kill tests are: short forms run with all tests, the full ones with ``make chaos``."""

import os

FULL = os.environ.get("HELMHOLTZ_CHAOS") == "full"  # noqa: TID251 - a choice of who runs the tests
