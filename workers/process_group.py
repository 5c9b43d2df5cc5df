"""Processes that never outlive what they serve: parent-death signals and groups that stop as one."""

import ctypes
import os
import signal
from contextlib import suppress

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel for SIGKILL when the parent ends, however it ends (Linux; elsewhere nothing happens)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send a signal to every process of the group that ``pid`` leads; nothing when it has gone."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
