"""Scalar field with quartic interaction on narrow lattices, by Gauss quadrature at each site and nothing else.

With b the number of bonds at a site, S = sum_x [(b + m^2) phi_x^2 + g phi_x^4] - 2 sum_<xy> phi_x phi_y.  The
integral over each phi_x with the weight exp(-(b + m^2) phi^2 - g phi^4) becomes a sum over the nodes of its own Gauss
rule (n nodes are exact for polynomials of degree 2 n - 1; what is left is an entire function), so that

    Z = sum over nodes of prod_x w_x prod_<xy> exp(2 phi_x phi_y) = tr T^L,

T between rows of n^w configurations, its bonds applied site by site.  No levels are cut off and no eigenvalues taken:
a check of ``phi4_transfer_matrix`` that shares nothing with it but the field's extent.
"""

from itertools import permutations
from math import prod

import numpy as np
from jaxtyping import Float64, Int

from zoo.exact.phi4_transfer_matrix import field_extent, row_of

_FINE = 4001  # points of the sum that stands for the integral in the weight's moments
_AT_ONCE = 64  # vectors


def phi4_quadrature_log_z(mass_squared: float, coupling: float, shape: tuple[int, ...], points: int = 12) -> float:
    """Ln Z at beta = 1 with ``points`` nodes at each site, on a lattice that ``row_of`` covers; coupling > 0.

    Cost: points^(2 w + 1), divided by the 4 w symmetries of a row of w sites; seconds for 4 sites and 12 points.

    Raises:
        ValueError: a lattice that is too wide.
    """
    row = row_of(shape)
    if row is None:
        msg = f"quadrature for shape {shape}: rows of at most 4 sites are covered"
        raise ValueError(msg)
    width, lateral, length = row
    bonds = 2 * lateral * (width > 1) + 2 * (length > 1)
    nodes, weights = gauss_rule(bonds + mass_squared, coupling, points)
    index = np.indices((points,) * width).reshape(width, -1)
    phi = nodes[index]
    inside = 2 * lateral * (phi * np.roll(phi, 1, 0)).sum(0) if width > 1 else np.zeros(phi.shape[1])
    root = np.exp((np.log(weights)[index].sum(0) + inside) / 2)
    if length == 1:
        return float(np.log((root**2).sum()))
    states, multiplicity = _orbits(index, points)
    kernel = np.exp(2 * np.outer(nodes, nodes))
    returns = [_returns(states[i : i + _AT_ONCE], root, kernel, length) for i in range(0, len(states), _AT_ONCE)]
    return float(np.log(np.concatenate(returns) @ multiplicity))


def gauss_rule(
    quadratic: float, quartic: float, points: int
) -> tuple[Float64[np.ndarray, " point"], Float64[np.ndarray, " point"]]:
    """Nodes and weights for exp(-a x^2 - g x^4) by Golub and Welsch, Math. Comp. 23, 221 (1969)."""
    extent = field_extent(quadratic, quartic, 60.0)
    x = np.linspace(-extent, extent, _FINE)
    weight = np.exp(-quadratic * x**2 - quartic * x**4) * (x[1] - x[0])
    total = weight.sum()
    before, here, off = np.zeros_like(x), np.sqrt(weight / total), np.zeros(points)
    for k in range(points):  # Lanczos; the diagonal is zero by symmetry
        following = x * here - off[k - 1] * before
        norm = np.sqrt(following @ following)
        before, here, off[k] = here, following / norm, norm
    nodes, vectors = np.linalg.eigh(np.diag(off[:-1], 1) + np.diag(off[:-1], -1))
    return nodes, total * vectors[0] ** 2


def _orbits(
    index: Int[np.ndarray, "site state"], points: int
) -> tuple[Int[np.ndarray, " orbit"], Float64[np.ndarray, " orbit"]]:
    """One row of each orbit under rotation and reflection of the ring and phi -> -phi, and how many are in it."""
    width = len(index)
    base = points ** np.arange(width)[::-1]
    ring = [p for p in permutations(range(width)) if _is_ring_symmetry(p)]
    numbers = [base @ signed[list(p)] for signed in (index, points - 1 - index) for p in ring]
    states, counts = np.unique(np.min(numbers, axis=0), return_counts=True)
    return states, counts.astype(np.float64)


def _is_ring_symmetry(p: tuple[int, ...]) -> bool:
    return all((p[i] - p[i - 1]) % len(p) in {1 % len(p), len(p) - 1} for i in range(len(p)))


def _returns(
    states: Int[np.ndarray, " orbit"], root: Float64[np.ndarray, " state"], kernel: np.ndarray, length: int
) -> Float64[np.ndarray, " orbit"]:
    """<s| T^L |s> for each of ``states``, as a product of two vectors half way."""
    start = np.zeros((len(states), len(root)))
    start[np.arange(len(states)), states] = 1
    half = start
    for _ in range(length // 2):
        half = _transfer(half, root, kernel)
    rest = _transfer(half, root, kernel) if length % 2 else half
    return np.asarray((half * rest).sum(1))


def _transfer(vectors: np.ndarray, root: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """T applied to each vector: half a row's weight, the bonds of one site after the other, half the next row's."""
    shape, points = vectors.shape, len(kernel)
    result = vectors * root
    for _ in range(round(np.log(prod(shape[1:])) / np.log(points))):
        result = (result.reshape(-1, points) @ kernel).reshape(shape[0], -1, points).swapaxes(1, 2).reshape(shape)
    return np.asarray(result * root)
