"""The README's code, run as it is printed against a real stack."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running_stack import RunningStack

README = Path(__file__).parents[2] / "README.md"
PRINTED_URL = "http://127.0.0.1:8000"


def blocks(language: str, text: str) -> list[str]:
    """The code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def run(command: list[str], folder: Path) -> str:
    """The standard output of ``command``, which must succeed."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}  # noqa: TID251
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def code(stack: RunningStack) -> str:
    """The README with the address of the stack in place of the default one."""
    return README.read_text().replace(PRINTED_URL, stack.url)


@pytest.fixture(scope="module")
def python_output(code: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the Python of the README prints; the model that it trains is used by what follows."""
    (program,) = blocks("python", code)
    return run([sys.executable, "-c", program], tmp_path_factory.mktemp("readme"))


def test_the_python_trains_and_comes_close_to_the_exact_answer(python_output: str) -> None:
    found = re.fullmatch(r"beta_f = (\S+) \+- (\S+), exact (\S+)\n", python_output)
    assert found is not None, python_output
    value, error, exact = (float(text) for text in found.groups())
    assert abs(value - exact) < 4 * error + 1e-3  # three decimals are printed
    assert error < 0.05


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_lines_are_answered(code: str, python_output: str, tmp_path: Path) -> None:
    script = next(block for block in blocks("bash", code) if "curl" in block)
    output = run(["bash", "-euo", "pipefail", "-c", script.replace("curl -sS", "curl -sS --fail-with-body")], tmp_path)
    assert json.JSONDecoder().raw_decode(output)[0]["targets"]
    assert len(json.loads((tmp_path / "log_q.json").read_text())["log_likelihood"]) == 1000
    assert output.count('"beta_f":') >= 2


def test_the_command_lines_do_what_they_say(code: str, tmp_path: Path) -> None:
    script = next(block for block in blocks("bash", code) if "--publish tiny" in block)
    output = run(["bash", "-euo", "pipefail", "-c", script], tmp_path)
    assert "tiny version" in output
    assert "sigma" in output
    assert (tmp_path / "spins.npy").exists()


def test_the_systems_answer_on_the_command_line(code: str, tmp_path: Path) -> None:
    script = next(block for block in blocks("bash", code) if "helmholtz reference" in block)
    output = run(["bash", "-euo", "pipefail", "-c", script], tmp_path)
    assert "-17.883333671" in output  # of twenty spins that all interact, at beta = 1
    assert "sampler" in output
    assert "digits" in output


def test_the_models_answer_on_the_command_line(code: str, tmp_path: Path) -> None:
    script = next(block for block in blocks("bash", code) if "helmholtz curve" in block)
    output = run(["bash", "-euo", "pipefail", "-c", script], tmp_path)
    assert "ising-by-beta version" in output
    assert "heat capacity" in output.lower()
    assert "digits version" in output


def test_the_readme_says_only_commands_that_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (README.parent / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)\b", README.read_text()))
    assert {"demo", "serve", "test"} <= named
    assert named <= targets
