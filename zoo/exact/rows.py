"""The states of one row of a strip: their spins, their bonds and their symmetry classes.

A state is an integer; bit i is spin i, 1 for up.
"""

import numpy as np
from jaxtyping import Float64, Int


def row_states(width: int) -> Float64[np.ndarray, "state {width}"]:
    """All rows of ``width`` spins -1/+1, in the order of their states."""
    return 2.0 * (np.arange(2**width)[:, None] >> np.arange(width) & 1) - 1


def row_bonds(spins: Float64[np.ndarray, "state width"], *, periodic: bool) -> Float64[np.ndarray, " state"]:
    """sum_<ij> s_i s_j along each row; a periodic row of 2 counts its bond twice, a row of 1 has none."""
    if spins.shape[1] == 1:
        return np.zeros(len(spins))
    neighbours = np.roll(spins, -1, 1) if periodic else spins[:, 1:]
    return np.asarray((spins[:, : neighbours.shape[1]] * neighbours).sum(1))


def rotated(states: Int[np.ndarray, " state"], width: int, steps: int) -> Int[np.ndarray, " state"]:
    """``states`` with their spins moved by ``steps`` sites around the ring, 0 <= steps < width."""
    return np.asarray((states >> steps) | (states << (width - steps)) & (2**width - 1))


def orbits(
    width: int, *, with_reflection: bool, with_flip: bool
) -> tuple[Int[np.ndarray, " orbit"], Int[np.ndarray, " orbit"]]:
    """One row of each class under rotation and, where asked, reflection and flip of all spins; and the class sizes."""
    states = np.arange(2**width)
    images = [states]
    if with_reflection:
        images.append(np.sum([(states >> i & 1) << (width - 1 - i) for i in range(width)], axis=0))
    if with_flip:
        images += [2**width - 1 - image for image in images]
    everywhere = [rotated(image, width, steps) for image in images for steps in range(width)]
    return np.unique(np.min(everywhere, axis=0), return_counts=True)
