"""What every figure depends on, beside its own settings: processor, threads, libraries, and the machine's load."""

import os
import platform

import torch


def machine() -> str:
    """One line about where and with what something was measured."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    capability = torch.backends.cpu.get_cpu_capability()
    return (
        f"{platform.machine()} ({capability}), {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, float32 networks, load averages {load} at the end"
    )
