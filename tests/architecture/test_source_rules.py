"""Rules that every source obeys; beside each rule, texts that break it, so that the check is seen to fire."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.architecture.sources import PACKAGES, ROOT, Source, sources

EVERYTHING = (*PACKAGES, "benchmarks", "tests")
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 8

_CODE_RUNNERS = frozenset({"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"})
_BANNED_CALLS = frozenset({"eval", "exec", "torch.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load"})
_SETTINGS = "workers/settings.py"
_ENVIRONMENT = frozenset({"os.environ", "os.environb", "os.getenv", "os.putenv"})

Check = Callable[[Source], Iterator[str]]


def dotted(node: ast.expr) -> str:
    """``a.b.c`` as text; empty for anything else."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute):
            before = dotted(value)
            return f"{before}.{attribute}" if before else ""
        case _:
            return ""


def runs_code_from_data(source: Source) -> Iterator[str]:
    """Imports of picklers, and calls that turn data into code; tests make pickles that must be refused."""
    tests = source.name.startswith("tests/")
    for node in ast.walk(source.tree):
        match node:
            case ast.Import(names=names):
                yield from (f"import {x.name}" for x in names if x.name.partition(".")[0] in _CODE_RUNNERS)
            case ast.ImportFrom(module=str(module), names=names):
                if module.partition(".")[0] in _CODE_RUNNERS:
                    yield f"from {module}"
                yield from (x.name for x in names if f"{module}.{x.name}" in _BANNED_CALLS)
            case ast.Call(func=function) if dotted(function) in _BANNED_CALLS:
                yield f"line {node.lineno}: {dotted(function)}"
            case ast.keyword(arg="allow_pickle", value=value) if not _is_false(value) and not tests:
                yield f"line {value.lineno}: allow_pickle"


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def reads_environment(source: Source) -> Iterator[str]:
    """Uses of the environment outside the settings, on lines that do not say why."""
    if source.name == _SETTINGS:
        return
    for node in ast.walk(source.tree):
        match node:
            case ast.Attribute():
                names = {dotted(node)}
            case ast.ImportFrom(module="os", names=imported):
                names = {f"os.{x.name}" for x in imported}
            case _:
                continue
        if names & _ENVIRONMENT and "# noqa: TID251" not in source.lines[node.lineno - 1]:
            yield f"line {node.lineno}: {', '.join(names)}"


def is_too_large(source: Source) -> Iterator[str]:
    """Files, functions and signatures above the limits."""
    if len(source.lines) > MAX_FILE_LINES:
        yield f"{len(source.lines)} lines, at most {MAX_FILE_LINES}"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"{node.name} has {lines} lines, at most {MAX_FUNCTION_LINES}"
            names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            number = len([name for name in names if name not in {"self", "cls"}])
            if number > MAX_PARAMETERS:
                yield f"{node.name} has {number} parameters, at most {MAX_PARAMETERS}"


def has_code_in_init(source: Source) -> Iterator[str]:
    """Anything in the ``__init__`` of a package that a gateway imports on its way."""
    client = source.name.startswith("helmholtz/")  # the library exports its names
    if source.name.endswith("/__init__.py") and not client and source.text.strip():
        yield "is not empty"


CHECKS: dict[Check, tuple[str, ...]] = {
    runs_code_from_data: EVERYTHING,
    reads_environment: EVERYTHING,
    is_too_large: EVERYTHING,
    has_code_in_init: PACKAGES,
}

PLANTED: list[tuple[Check, str, str]] = [
    (runs_code_from_data, "zoo/a.py", "import pickle"),
    (runs_code_from_data, "zoo/a.py", "from pickle import loads"),
    (runs_code_from_data, "zoo/a.py", "import torch\nx = torch.load('f')"),
    (runs_code_from_data, "zoo/a.py", "from torch import load"),
    (runs_code_from_data, "zoo/a.py", "eval('1')"),
    (runs_code_from_data, "zoo/a.py", "yaml.load(text)"),
    (runs_code_from_data, "zoo/a.py", "np.load(file, allow_pickle=True)"),
    (reads_environment, "zoo/a.py", "import os\nx = os.environ['HOME']"),
    (reads_environment, "zoo/a.py", "import os\nx = os.getenv('HOME')"),
    (reads_environment, "zoo/a.py", "from os import environ"),
    (is_too_large, "zoo/a.py", "x = 1\n" * 501),
    (is_too_large, "zoo/a.py", "def f():\n" + "    x = 1\n" * 60),
    (is_too_large, "zoo/a.py", "async def f(a, b, c, d, e, f, *, g, h, i): ..."),
    (has_code_in_init, "zoo/core/__init__.py", "from zoo.core import spaces"),
]

INNOCENT: list[tuple[Check, str, str]] = [
    (runs_code_from_data, "zoo/a.py", "model.eval()\nnp.load(file, allow_pickle=False)\nyaml.safe_load(text)"),
    (reads_environment, "workers/settings.py", "import os\nx = os.environ"),
    (reads_environment, "zoo/a.py", "import os\nx = os.environ  # noqa: TID251 - passed on"),
    (is_too_large, "zoo/a.py", "def f(self, a, b, c, d, e, f, g, h):\n" + "    x = 1\n" * 59),
    (has_code_in_init, "helmholtz/__init__.py", "from helmholtz.client import Client"),
]


@pytest.mark.parametrize("check", CHECKS)
def test_every_source_obeys(check: Check) -> None:
    problems = [f"{s.name}: {problem}" for s in sources(*CHECKS[check]) for problem in check(s)]
    assert not problems, problems


@pytest.mark.parametrize(("check", "name", "text"), PLANTED)
def test_a_planted_fault_is_found(check: Check, name: str, text: str) -> None:
    assert list(check(Source(name, text)))


@pytest.mark.parametrize(("check", "name", "text"), INNOCENT)
def test_what_is_allowed_is_not_reported(check: Check, name: str, text: str) -> None:
    assert not list(check(Source(name, text)))


def test_proto_holds_no_python() -> None:
    assert list((ROOT / "proto").rglob("*.proto"))
    assert not [path for pattern in ("*.py", "*.pyi") for path in (ROOT / "proto").rglob(pattern)]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_with_sources_is_a_package(package: str) -> None:
    """Without its ``__init__`` a folder would be left out of the distribution."""
    folders = {path.parent for path in (ROOT / package).rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def defines_a_test(source: Source) -> bool:
    """Whether pytest collects anything from a file: a ``test_`` function, alone or in a ``Test`` class."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for node in source.tree.body:
        inside = node.body if isinstance(node, ast.ClassDef) and node.name.startswith("Test") else [node]
        if any(isinstance(x, functions) and x.name.startswith("test_") for x in inside):
            return True
    return False


def test_every_test_file_defines_a_test() -> None:
    files = [s for s in sources("tests") if Path(s.name).name.startswith("test_")]
    assert [s.name for s in files if not defines_a_test(s)] == []
    assert not defines_a_test(Source("tests/test_a.py", "def _test_x() -> None: ...\ndef check() -> None: ..."))


def test_every_file_with_tests_is_one_that_pytest_collects() -> None:
    strays = [s.name for s in sources("tests") if defines_a_test(s) and not Path(s.name).name.startswith("test_")]
    assert strays == []


def test_test_files_have_names_of_their_own() -> None:
    """Test folders are no packages, so two files of one name would be one module."""
    names = [Path(s.name).name for s in sources("tests") if Path(s.name).name != "conftest.py"]
    assert sorted({name for name in names if names.count(name) > 1}) == []
