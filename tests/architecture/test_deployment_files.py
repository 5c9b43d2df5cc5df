"""The files around the code say things that are true: compose, Dockerfile, Makefile, constraints."""

import importlib.util
import re
import shlex
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import yaml

from tests.architecture.sources import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
WORDS = ("demo", "serve", "test", "check", "fmt", "types", "generate", "bench", "chaos")


def modules_run_by(command: list[str]) -> list[str]:
    """The modules that a command line runs: after ``-m``, and Celery's application after ``-A``."""
    return [value for option, value in pairwise(command) if option in {"-m", "-A"}]


def exists(module: str) -> bool:
    """Whether a module can be found, without running it."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def own_commands() -> Iterator[tuple[str, list[str]]]:
    """The services that run our image, with their commands."""
    for name, service in COMPOSE["services"].items():
        if service.get("build") == ".":
            yield name, service["command"]


def test_compose_has_gateway_workers_redis_and_one_volume() -> None:
    assert {"gateway", "engine", "trainer", "redis", "migrate"} <= COMPOSE["services"].keys()
    assert list(COMPOSE["volumes"]) == ["data"]
    mounted = {volume for service in COMPOSE["services"].values() for volume in service.get("volumes", [])}
    assert mounted == {"data:/data"}


@pytest.mark.parametrize(("name", "command"), list(own_commands()))
def test_compose_runs_modules_that_exist(name: str, command: list[str]) -> None:
    modules = modules_run_by(command)
    assert modules, f"{name} runs no module"
    assert [module for module in modules if not exists(module)] == []


def test_a_module_that_does_not_exist_is_noticed() -> None:
    assert modules_run_by(["celery", "-A", "workers.planted", "worker"]) == ["workers.planted"]
    assert not exists("workers.planted")
    assert not exists("planted.fault")


def test_compose_waits_for_what_it_needs() -> None:
    for name, _ in own_commands():
        for dependency in COMPOSE["services"][name]["depends_on"]:
            assert dependency in COMPOSE["services"]
    assert "healthcheck" in COMPOSE["services"]["redis"]


def test_the_open_gateway_has_a_key_and_reads_settings_that_exist() -> None:
    settings = importlib.import_module("workers.settings")
    for name, _ in own_commands():
        environment = COMPOSE["services"][name]["environment"]
        assert "HELMHOLTZ_API_KEY" in environment
        ours = {key.removeprefix("HELMHOLTZ_").lower() for key in environment if key.startswith("HELMHOLTZ_")}
        assert ours <= set(settings.Settings.model_fields)


def test_the_dockerfile_copies_what_exists_and_every_package() -> None:
    copied = [word for line in DOCKERFILE.splitlines() if line.startswith("COPY ") for word in shlex.split(line)[1:-1]]
    assert [word for word in copied if not (ROOT / word).exists()] == []
    packages = {pattern.removesuffix("*") for pattern in PYPROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert packages <= set(copied)
    assert {"pyproject.toml", "constraints.txt", PYPROJECT["project"]["readme"]} <= set(copied)


@pytest.mark.parametrize("word", WORDS)
def test_the_makefile_knows_the_word(word: str) -> None:
    assert re.search(rf"^{word}:", MAKEFILE, re.MULTILINE)
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony is not None
    assert word in phony.group(1).split()


def test_ci_calls_check_and_test() -> None:
    text = (ROOT / ".ci" / "run").read_text()
    assert re.search(r"^\s*(exec )?make check", text, re.MULTILINE)
    assert re.search(r"make test", text)


def canonical(name: str) -> str:
    """A distribution's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(text: str) -> dict[str, str]:
    """Name -> version of every line; a line that pins nothing is an error."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            match = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.+!]+)", line.strip())
            assert match, f"{line!r} is not NAME==VERSION"
            found[canonical(match.group(1))] = match.group(2)
    return found


def test_every_dependency_is_pinned() -> None:
    pinned = pins((ROOT / "constraints.txt").read_text())
    project = PYPROJECT["project"]
    named = [*project["dependencies"], *(x for extra in project["optional-dependencies"].values() for x in extra)]
    names = {canonical(re.split(r"[<>=!~\[; ]", requirement)[0]) for requirement in named}
    assert names <= pinned.keys(), sorted(names - pinned.keys())
    assert pinned["torch"] == "2.13.0"


@pytest.mark.parametrize("line", ["torch>=2.13.0", "torch", "torch==2.*", "torch @ https://example.org/torch.whl"])
def test_a_line_that_pins_nothing_is_noticed(line: str) -> None:
    with pytest.raises(AssertionError, match="NAME==VERSION"):
        pins(line)
