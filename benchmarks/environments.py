"""A virtual environment for each peer: made once, with pinned releases, beside the project's own."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".benchmarks"


def environment(peer: str, releases: Sequence[str], first: Sequence[str]) -> Path:
    """The folder of a peer's programs, installed if need be; ``first`` before all, so that nothing asks for another.

    Raises:
        CalledProcessError: pip could not install it.
    """
    folder = FOLDER / peer.lower()
    done = folder / ".installed"
    wanted = "\n".join((*releases, *first))
    if not done.exists() or done.read_text() != wanted:
        print(f"Installing {peer} into {folder} (once)...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)  # noqa: S603 - our own words
        pip = [str(folder / "bin/pip"), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *first], check=True)  # noqa: S603 - our own words
        subprocess.run([*pip, *releases, *first], check=True)  # noqa: S603 - our own words
        done.write_text(wanted)
    return folder / "bin"
