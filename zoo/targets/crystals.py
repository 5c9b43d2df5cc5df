"""Perfect crystals in periodic boxes: where particles of a solid start, and the sites of an Einstein crystal."""

from itertools import product

import torch
from jaxtyping import Float64
from torch import Tensor

from zoo.specs.errors import InvalidValueError

_FCC = ((0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))
_DIAMOND = _FCC + tuple((x + 0.25, y + 0.25, z + 0.25) for x, y, z in _FCC)


def fcc_lattice(num_particles: int, box: tuple[float, ...] | None) -> Float64[Tensor, "particle axis"]:
    """Sites of a face-centred cubic crystal in a cubic box, coordinates in [-L/2, L/2), shape (n, 3).

    m^3 cubic cells of side L/m with 4 sites each; nearest neighbours are L / (m sqrt 2) apart.

    Raises:
        InvalidValueError: a box that is not cubic in three dimensions, or n that is not 4 m^3.
    """
    return _cubic_crystal(num_particles, box, _FCC, "face-centred cubic")


def diamond_lattice(num_particles: int, box: tuple[float, ...] | None) -> Float64[Tensor, "particle axis"]:
    """Sites of a cubic diamond crystal (cubic ice) in a cubic box, coordinates in [-L/2, L/2), shape (n, 3).

    m^3 cubic cells of side L/m with 8 sites each; nearest neighbours, four of them, are sqrt(3) L / (4 m) apart.

    Raises:
        InvalidValueError: a box that is not cubic in three dimensions, or n that is not 8 m^3.
    """
    return _cubic_crystal(num_particles, box, _DIAMOND, "cubic diamond")


def _cubic_crystal(
    num_particles: int, box: tuple[float, ...] | None, basis: tuple[tuple[float, ...], ...], name: str
) -> Tensor:
    cells = round((num_particles / len(basis)) ** (1 / 3))
    cubic = box is not None and len(box) == 3 and max(box) - min(box) <= 1e-9 * max(box)
    if box is None or not cubic or len(basis) * cells**3 != num_particles:
        msg = (
            f"a {name} crystal of {num_particles} particles in the box {box} was asked for; "
            f"a cubic box in three dimensions with n = {len(basis)} m^3 particles has one"
        )
        raise InvalidValueError(msg)
    corners = torch.tensor(list(product(range(cells), repeat=3)), dtype=torch.float64)
    offsets = torch.tensor(basis, dtype=torch.float64) + 0.125  # no site on a face of the box
    sites = (corners[:, None] + offsets).reshape(-1, 3) / cells - 0.5
    scaled: Tensor = sites * torch.tensor(box, dtype=torch.float64)
    return scaled
