"""Our own flows with their default activation, which costs an exponential for each hidden unit."""

from functools import partial
from importlib import import_module

build = partial(import_module("of_helmholtz").build, activation="silu")
