"""The weights of a version put into a model of this release."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from zoo.specs.errors import StateConflictError


def load_weights(model: nn.Module, arrays: Mapping[str, NDArray[np.generic]], version: str) -> None:
    """Nothing; ``model`` then has the weights of ``version``, whose name is for messages.

    Versions of the first release named a network's weights without the prefix ``network.``, which they are given here.

    Raises:
        StateConflictError: the weights are those of a family as it was in another release (reason WEIGHTS_DO_NOT_FIT).
    """
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    for rename in (_as_it_is, _with_prefix):
        renamed = {rename(name): array for name, array in arrays.items()}
        if {name: array.shape for name, array in renamed.items()} == shapes:
            model.load_state_dict({name: torch.tensor(array) for name, array in renamed.items()})
            return
    msg = (
        f"the weights of {version} are those of its family as it was in another release, and cannot be used by "
        "this one; train the model anew, or serve it with the release that trained it"
    )
    raise StateConflictError(msg, reason="WEIGHTS_DO_NOT_FIT")


def _as_it_is(name: str) -> str:
    return name


def _with_prefix(name: str) -> str:
    inner = "inner."
    return f"{inner}network.{name.removeprefix(inner)}" if name.startswith(inner) else f"network.{name}"
