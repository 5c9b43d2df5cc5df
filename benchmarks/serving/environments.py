"""A virtual environment for each peer: made once, with pinned releases, beside the project's own."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".benchmarks"
OF_THE_MODULE = ("torch==2.13.0", "numpy", "scipy", "pydantic>=2", "jaxtyping", "arviz-stats", "safetensors")
"""What the served module itself needs."""
RELEASES = {
    "FastAPI": ("fastapi==0.165.0", "uvicorn==0.54.0", "uvloop", "httptools"),
    "LitServe": ("litserve==0.2.19", "uvloop", "httptools", "pyzmq"),
    "BentoML": ("bentoml==1.4.39",),
    "MLServer": ("mlserver==1.7.1",),
}


def environment(peer: str) -> Path:
    """The folder of a peer's programs, installed if need be.

    Raises:
        CalledProcessError: pip could not install it.
    """
    folder = FOLDER / peer.lower()
    done = folder / ".installed"
    wanted = "\n".join((*RELEASES[peer], *OF_THE_MODULE))
    if not done.exists() or done.read_text() != wanted:
        print(f"Installing {peer} into {folder} (once)...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)  # noqa: S603 - our own words
        pip = [str(folder / "bin/pip"), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *OF_THE_MODULE], check=True)  # noqa: S603 - torch first, so that nothing asks for another
        subprocess.run([*pip, *RELEASES[peer], *OF_THE_MODULE], check=True)  # noqa: S603 - our own words
        done.write_text(wanted)
    return folder / "bin"
