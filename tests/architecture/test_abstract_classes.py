"""Abstract or final: a class with anything left to define refuses to be made."""

import importlib
import inspect
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator

import pytest

PACKAGES = ("zoo", "workers.kinds", "models_registry")
KNOWN = {
    "zoo.core.spaces.Space",
    "zoo.core.targets.Target",
    "zoo.core.targets.HasExactFreeEnergy",
    "zoo.core.models.Sampler",
    "zoo.core.models.Density",
    "zoo.core.models.Model",
    "zoo.objectives.base.Objective",
    "workers.kinds.base.Kind",
}


def classes() -> Iterator[type]:
    """Every class that is defined in PACKAGES."""
    for package in PACKAGES:
        for info in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
            if "migrations" in info.name:
                continue  # Alembic runs these
            module = importlib.import_module(info.name)
            for _, found in inspect.getmembers(module, inspect.isclass):
                if found.__module__ == info.name:
                    yield found


ABSTRACT = sorted({c for c in classes() if inspect.isabstract(c)}, key=lambda c: (c.__module__, c.__qualname__))


def test_the_walk_finds_the_known_ones() -> None:
    assert {f"{c.__module__}.{c.__qualname__}" for c in ABSTRACT} >= KNOWN


@pytest.mark.parametrize("abstract", ABSTRACT, ids=lambda c: c.__qualname__)
def test_an_abstract_class_refuses_to_be_made(abstract: type) -> None:
    with pytest.raises(TypeError, match="abstract"):
        abstract()


def test_a_class_that_calls_itself_abstract_leaves_something_to_define() -> None:
    hollow = [c for c in classes() if ABC in c.__bases__ and not inspect.isabstract(c)]
    assert hollow == []


def test_forgetting_a_method_is_noticed() -> None:
    class Half(ABC):
        @abstractmethod
        def one(self) -> int: ...

    class Whole(Half):
        def one(self) -> int:
            return 1

    assert inspect.isabstract(Half)
    assert Whole().one() == 1
