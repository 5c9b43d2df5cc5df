"""The project's own Python sources, as the architecture tests see them."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("zoo", "models_registry", "workers", "service", "helmholtz")
GENERATED = (ROOT / "service" / "rpc" / "v1", ROOT / "service" / "open_inference" / "v2")


@dataclass(frozen=True)
class Source:
    """A Python file: its name from the root, its text, its syntax tree."""

    name: str
    text: str

    @property
    def tree(self) -> ast.Module:
        """The parsed text."""
        return ast.parse(self.text)

    @property
    def lines(self) -> list[str]:
        """The text in lines."""
        return self.text.splitlines()


@cache
def sources(*folders: str) -> tuple[Source, ...]:
    """Every Python file under ``folders``, but generated ones."""
    found = tuple(_read(folders))
    assert found, f"there is no Python under {folders}: this check would pass over nothing"
    return found


def _read(folders: tuple[str, ...]) -> Iterator[Source]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not any(folder in path.parents for folder in GENERATED):
                yield Source(str(path.relative_to(ROOT)), path.read_text())
