"""Particles tied to sites by springs, in closed form: where thermodynamic integration of a solid begins.

E = K/2 sum_i |x_i - X_i|^2 with particle i tied to site X_i, n particles in d dimensions.  beta_spring = beta K is in
1 / length^2.  Three measures:

* all coordinates free, over all of space: (2 pi / (beta K))^(n d / 2);
* the centre of mass fixed, sum_i (x_i - X_i) = 0, with the Euclidean measure of that subspace of n - 1 vectors:
  (2 pi / (beta K))^((n-1) d / 2);
* in a periodic box, the displacement being that to the nearest image: each coordinate contributes
  integral_{-L/2}^{L/2} exp(-beta K u^2 / 2) du = sqrt(2 pi / (beta K)) erf(L/2 sqrt(beta K / 2)).

In the first and third the particles keep their sites, so that Z counts one of the n! labellings.

From one labelling with a fixed centre of mass to all of a crystal in a periodic box of volume V.  Let Z_fixed be the
integral over sum_i u_i = 0, u_i the displacements from one set of labelled sites.  Shifting all particles by a moves a
configuration by sqrt(n) |a| in R^(n d), hence a volume V of shifts contributes n^(d/2) V Z_fixed.  These shifts run
through every labelling that is a lattice translation of the first: m of the n!, m being the number of translations
that take the crystal to itself, n over the number of particles in a primitive cell.  So

    Z = (n! / m) n^(d/2) V Z_fixed.

For one atom in the primitive cell (fcc) m = n and Z = (n-1)! n^(d/2) V Z_fixed; for two (diamond) m = n / 2.
Z counts one orientation of the crystal, and no defects: what they add is smaller than any statistical error.

Sources: Frenkel and Ladd, J. Chem. Phys. 81, 3188 (1984); Polson, Trizac, Pronk and Frenkel, J. Chem. Phys. 112, 5339
(2000), for the centre of mass.
"""

from math import erf, lgamma, log, pi, sqrt


def einstein_log_z(num_particles: int, dimension: int, beta_spring: float) -> float:
    """Ln Z of one labelling in free space, all coordinates free, in ln length^(n d)."""
    return num_particles * dimension / 2 * log(2 * pi / beta_spring)


def einstein_log_z_fixed_center(num_particles: int, dimension: int, beta_spring: float) -> float:
    """Ln Z of one labelling in free space with a fixed centre of mass, in ln length^((n-1) d), Euclidean measure."""
    return einstein_log_z(num_particles - 1, dimension, beta_spring)


def einstein_log_z_in_box(num_particles: int, box: tuple[float, ...], beta_spring: float) -> float:
    """Ln Z of one labelling in a periodic box with displacements to the nearest image, all coordinates free."""
    inside = sum(log(erf(side / 2 * sqrt(beta_spring / 2))) for side in box)
    return einstein_log_z(num_particles, len(box), beta_spring) + num_particles * inside


def crystal_log_z(log_z_fixed_center: float, num_particles: int, box: tuple[float, ...], atoms_in_cell: int) -> float:
    """Ln Z of a crystal in a periodic box, over all labellings and with a free centre, from Z_fixed of one labelling.

    ln Z = ln Z_fixed + ln n! - ln m + (d/2) ln n + ln V with m = n / ``atoms_in_cell``, the atoms of a primitive cell:
    1 for fcc, 2 for diamond.
    """
    n, volume = num_particles, sum(log(side) for side in box)
    translations = n / atoms_in_cell
    return log_z_fixed_center + lgamma(n + 1) - log(translations) + len(box) / 2 * log(n) + volume
