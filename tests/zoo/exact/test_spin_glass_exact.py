"""Site-by-site transfer and the references of spin glasses: enumeration, symmetric limits, known numbers."""

from math import cosh, inf, log

import numpy as np
import pytest
from numpy.typing import NDArray

from zoo.core.lattices import lattice_bonds
from zoo.exact import site_transfer
from zoo.exact.cumulants import Cumulants
from zoo.exact.enumeration import coupling_matrix, enumeration_cumulants, pair_enumeration_cumulants
from zoo.exact.kaufman import kaufman_cumulants
from zoo.exact.layer_ring import LayerRing
from zoo.exact.site_transfer import SpinGraph, best_plan, site_transfer_cumulants
from zoo.exact.spin_glass import exact_reference
from zoo.exact.transfer_matrix import strip_cumulants
from zoo.specs.errors import InvalidValueError, NoExactReferenceError
from zoo.specs.targets.spin_glass import EdwardsAnderson, SherringtonKirkpatrick, SpinGlassSpec
from zoo.targets.spin_glass import SpinGlass

Matrix = NDArray[np.float64]


def sk_20() -> Matrix:
    """Couplings written out: standard normals of default_rng(0) over sqrt(20), row by row above the diagonal."""
    rng, matrix = np.random.default_rng(0), np.zeros((20, 20))
    for i in range(20):
        for j in range(i + 1, 20):
            matrix[i, j] = matrix[j, i] = rng.standard_normal() / np.sqrt(20)
    return matrix


def assert_close(found: Cumulants, expected: Cumulants, tolerance: float = 1e-10) -> None:
    assert found.log_z == pytest.approx(expected.log_z, abs=tolerance, rel=1e-14)
    assert found.mean == pytest.approx(expected.mean, abs=tolerance, rel=1e-13)
    assert found.variance == pytest.approx(expected.variance, abs=tolerance)


def random_lattice(shape: tuple[int, ...], scale: float, field: float, *, periodic: bool) -> SpinGraph:
    """Normal couplings on a lattice, some of them 0, and normal fields."""
    rng = np.random.default_rng(len(shape) * 100 + int(np.prod(shape)))
    bonds = lattice_bonds(shape, periodic=periodic).numpy()
    couplings = scale * rng.standard_normal(len(bonds)) * (rng.random(len(bonds)) < 0.9)
    return SpinGraph.of(bonds, couplings, field * rng.standard_normal(int(np.prod(shape))))


def enumerated(graph: SpinGraph) -> Cumulants:
    return pair_enumeration_cumulants(coupling_matrix(graph.bonds, graph.couplings, len(graph.fields)), graph.fields)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize(("scale", "field"), [(0.2, 0.0), (1.0, 0.0), (0.7, 0.5), (3.0, 1.0), (8.0, 0.0)])
@pytest.mark.parametrize(
    "shape", [(1,), (2,), (9,), (2, 2), (2, 5), (5, 2), (3, 4), (4, 4), (3, 6), (2, 2, 3), (2, 3, 3)]
)
def test_site_by_site_is_the_sum_over_all_states(
    shape: tuple[int, ...], scale: float, field: float, *, periodic: bool
) -> None:
    graph = random_lattice(shape, scale, field, periodic=periodic)
    assert_close(site_transfer_cumulants(graph), enumerated(graph))


@pytest.mark.parametrize("n", [2, 6, 12])
@pytest.mark.parametrize("field", [0.0, 0.8])
def test_complete_graphs_and_stars_are_too(n: int, field: float) -> None:
    rng = np.random.default_rng(n)
    pairs = np.stack(np.triu_indices(n, 1), 1)
    complete = SpinGraph.of(pairs, rng.standard_normal(len(pairs)), field * rng.standard_normal(n))
    assert_close(site_transfer_cumulants(complete), enumerated(complete))
    spokes = np.stack([np.arange(n - 1), np.full(n - 1, n - 1)], 1)  # the hub comes last, and all spokes leave with it
    star = SpinGraph.of(spokes, rng.standard_normal(n - 1), field * rng.standard_normal(n))
    assert_close(site_transfer_cumulants(star, [np.arange(n)]), enumerated(star))


def test_any_order_of_sites_gives_the_same() -> None:
    graph = random_lattice((3, 5), 1.0, 0.3, periodic=True)
    plan = best_plan(graph)
    shuffled = np.random.default_rng(1).permutation(15)
    assert best_plan(graph, [shuffled]).work == plan.work
    found = site_transfer._Frontier().over(graph, shuffled)
    assert_close(found, site_transfer_cumulants(graph))


def test_a_bond_that_is_left_out_is_caught() -> None:
    graph = random_lattice((4, 4), 1.0, 0.3, periodic=True)
    less = SpinGraph(graph.bonds[:-1], graph.couplings[:-1], graph.fields)
    assert abs(site_transfer_cumulants(less).log_z - enumerated(graph).log_z) > 1e-3


@pytest.mark.parametrize("K", [0.2, 0.44, 0.8, -0.6])
def test_uniform_tori_are_kaufmans(K: float) -> None:
    bonds = lattice_bonds((8, 8), periodic=True).numpy()
    uniform = SpinGraph.of(bonds, np.full(len(bonds), K), np.zeros(64))
    assert_close(site_transfer_cumulants(uniform), kaufman_cumulants(8, 8, K), 1e-9)


def test_wide_open_strips_agree_with_rows() -> None:
    bonds = lattice_bonds((6, 14), periodic=False).numpy()
    uniform = SpinGraph.of(bonds, np.full(len(bonds), 0.4), np.full(84, 0.1))
    assert_close(site_transfer_cumulants(uniform), strip_cumulants(6, 14, 0.4, 0.1, periodic=False), 1e-9)


@pytest.mark.parametrize("shape", [(8, 8), (3, 20)])
def test_random_signs_that_can_be_gauged_away_are_the_ferromagnet(shape: tuple[int, int]) -> None:
    # J_ij = t_i t_j has no frustration (Mattis): the same Z as J = 1, whatever the signs t
    bonds = lattice_bonds(shape, periodic=True).numpy()
    t = np.random.default_rng(3).choice([-1.0, 1.0], int(np.prod(shape)))
    graph = SpinGraph.of(bonds, 0.5 * t[bonds[:, 0]] * t[bonds[:, 1]], np.zeros(len(t)))
    assert_close(site_transfer_cumulants(graph), kaufman_cumulants(*shape, 0.5), 1e-9)


@pytest.mark.parametrize(("beta", "log_z"), [(0.5, 14.923632187), (1.0, 17.8833336719), (2.0, 27.0605921864)])
def test_sk_of_twenty_spins_is_the_known_number(beta: float, log_z: float) -> None:
    explicit = SpinGlassSpec(couplings=sk_20().tolist())
    drawn = SpinGlassSpec(couplings=SherringtonKirkpatrick(n=20, seed=0))
    for spec in (explicit, drawn):
        reference = exact_reference(spec, beta)
        assert -reference.beta_f == pytest.approx(log_z, abs=1e-9)
        assert reference.method == "enumeration"


ENUMERABLE = [
    SpinGlassSpec(couplings=SherringtonKirkpatrick(n=11, seed=5)),
    SpinGlassSpec(couplings=EdwardsAnderson(shape=(3, 4), seed=1), fields=tuple(0.1 * i for i in range(12))),
    SpinGlassSpec(couplings=EdwardsAnderson(shape=(2, 2, 3), seed=2, distribution="pm1")),
    SpinGlassSpec(couplings=EdwardsAnderson(shape=(2, 5), seed=3, periodic=False)),
    SpinGlassSpec(couplings=((0.0,),), fields=(0.7,)),
    SpinGlassSpec(couplings=((0, 1.5, 0), (1.5, 0, -2), (0, -2, 0)), fields=(0.0, 1.0, -1.0)),
]


@pytest.mark.parametrize("spec", ENUMERABLE, ids=str)
@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0, 3.0])
def test_references_are_the_enumeration_of_the_targets_own_energy(spec: SpinGlassSpec, beta: float) -> None:
    target, n = SpinGlass(spec), spec.space.num_sites
    shape = spec.space.event_shape
    expected = enumeration_cumulants(lambda s: target.energy(s.reshape(-1, *shape)), n, beta)
    found = target.exact_reference(beta)
    assert found.beta_f == pytest.approx(-expected.log_z, abs=1e-10)
    assert found.observables["energy_per_site"] == pytest.approx(expected.mean / (beta * n) if beta else 0.0, abs=1e-10)
    assert found.observables["heat_capacity_per_site"] == pytest.approx(expected.variance / n, abs=1e-10)


def row_by_row(spec: SpinGlassSpec, rows: int, width: int, beta: float) -> float:
    """Ln Z of a lattice of ``rows`` x ``width`` from dense matrices of 2^width states, one for each pair of rows."""
    states = 2.0 * (np.arange(2**width)[:, None] >> np.arange(width) & 1) - 1
    within = np.zeros((rows, 2**width))
    between = np.zeros((rows, 2**width, 2**width))  # the last joins the last row to the first
    for (i, j), coupling in zip(*spec.bonds(), strict=True):
        row, other, a, b = i // width, j // width, states[:, i % width], states[:, j % width]
        if row == other:
            within[row] += beta * coupling * a * b
        else:
            between[row] += beta * coupling * np.outer(a, b)
    power, log_scale = np.diag(np.exp(within[0])), 0.0
    for row in range(rows):
        power = power @ np.exp(between[row])
        power = power * np.exp(within[row + 1]) if row + 1 < rows else power
        log_scale += float(np.log(power.max()))
        power = power / power.max()
    return log_scale + float(np.log(np.trace(power)))


@pytest.mark.parametrize("distribution", ["normal", "pm1"])
@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("beta", [0.3, 1.2])
def test_strips_above_24_spins_agree_with_dense_matrices(distribution: str, beta: float, *, periodic: bool) -> None:
    lattice = {"kind": "edwards_anderson", "shape": (16, 4), "distribution": distribution, "periodic": periodic}
    spec = SpinGlassSpec.model_validate({"couplings": lattice})
    found = exact_reference(spec, beta)
    assert found.method == f"transfer matrix, {'layer by layer' if periodic else 'site by site'}"
    assert -found.beta_f == pytest.approx(row_by_row(spec, 16, 4, beta), abs=1e-9)
    h = 1e-4
    slope = (exact_reference(spec, beta + h).beta_f - exact_reference(spec, beta - h).beta_f) / (2 * h)
    assert found.observables["energy_per_site"] * 64 == pytest.approx(slope, rel=1e-6)


def test_open_chains_are_independent_bonds() -> None:
    spec = SpinGlassSpec(couplings=EdwardsAnderson(shape=(1, 4096), seed=8, periodic=False))
    _, values = spec.bonds()
    expected = 4096 * log(2) + sum(log(cosh(0.9 * j)) for j in values)
    assert -exact_reference(spec, 0.9).beta_f == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (
            SpinGlassSpec(couplings=SherringtonKirkpatrick(n=40)),
            "more than half of all pairs coupled.* at most 24 spins",
        ),
        (SpinGlassSpec(couplings=SherringtonKirkpatrick(n=100)), "at most 24 spins, .* at most 40 pairs for each"),
        (
            SpinGlassSpec(couplings=EdwardsAnderson(shape=(16, 16))),
            r"24 spins, not 256; .* 3.0e\+10 steps of at most 4.5e",
        ),
        (SpinGlassSpec(couplings=EdwardsAnderson(shape=(14, 14)), beta=40.0), "not 196; .* span e.* of at most e.600"),
        (SpinGlassSpec(couplings=EdwardsAnderson(shape=(8, 8, 8))), "24 spins, not 512; .* at most 16 spins"),
    ],
    ids=str,
)
def test_what_is_too_large_is_refused_with_the_bound(spec: SpinGlassSpec, why: str) -> None:
    with pytest.raises(NoExactReferenceError, match=why):
        exact_reference(spec, spec.beta)


@pytest.mark.parametrize("shape", [(3, 3), (3, 5), (5, 4), (4, 3, 2), (3, 2, 3)])
@pytest.mark.parametrize(("scale", "field"), [(0.2, 0.0), (1.0, 0.5), (6.0, 0.0), (6.0, 2.0)])
def test_layer_by_layer_is_the_sum_over_all_states(shape: tuple[int, ...], scale: float, field: float) -> None:
    graph = random_lattice(shape, scale, field, periodic=True)
    ring = LayerRing.of(graph, np.arange(len(graph.fields)).reshape(shape[0], -1))
    assert ring is not None
    assert_close(ring.cumulants(), enumerated(graph))
    shifted = LayerRing(ring.within, np.roll(ring.upward, 1, 0), ring.fields)  # bonds one layer too far: caught
    assert abs(shifted.cumulants().log_z - enumerated(graph).log_z) > 1e-4


@pytest.mark.parametrize("field", [0.0, 0.3])
def test_wide_tori_layer_by_layer_agree_site_by_site(field: float) -> None:
    # three groups of places, and vectors in several blocks
    graph = random_lattice((4, 11), 1.5, field, periodic=True)
    ring = LayerRing.of(graph, np.arange(44).reshape(4, 11))
    assert ring is not None
    assert_close(ring.cumulants(), site_transfer_cumulants(graph), 1e-9)


def test_bonds_that_are_no_ring_of_layers_are_seen() -> None:
    graph, layers = random_lattice((4, 4), 1.0, 0.0, periodic=True), np.arange(16).reshape(4, 4)
    assert LayerRing.of(graph, layers) is not None
    for extra in ([0, 8], [0, 5]):  # over a layer, and to another place
        wrong = SpinGraph(np.vstack([graph.bonds, extra]), np.append(graph.couplings, 1.0), graph.fields)
        assert LayerRing.of(wrong, layers) is None
    assert LayerRing.of(graph, layers.reshape(2, 8)) is None


@pytest.mark.parametrize(("shape", "K"), [((12, 12), 0.6), ((4, 3, 3), 0.3)])
def test_tori_without_frustration_are_the_ferromagnet_layer_by_layer(shape: tuple[int, ...], K: float) -> None:
    # signs that can be gauged away, on layers across the last axis
    spec = SpinGlassSpec(couplings=EdwardsAnderson(shape=shape, seed=4, distribution="pm1"))
    bonds, _ = spec.bonds()
    t = np.random.default_rng(3).choice([-1.0, 1.0], int(np.prod(shape)))
    graph = SpinGraph.of(bonds, K * t[bonds[:, 0]] * t[bonds[:, 1]], np.zeros(len(t)))
    index = np.arange(len(t)).reshape(shape)
    ring = LayerRing.of(graph, np.moveaxis(index, -1, 0).reshape(shape[-1], -1))
    assert ring is not None
    assert ring.is_feasible
    expected = kaufman_cumulants(*shape, K) if len(shape) == 2 else site_transfer_cumulants(graph)
    assert_close(ring.cumulants(), expected, 1e-9)


def test_the_tori_of_the_widest_strips_are_within_the_bounds() -> None:
    for shape in [(11, 14), (12, 14), (13, 13), (14, 14), (4, 4, 4)]:
        bonds, couplings = EdwardsAnderson(shape=shape, seed=1).bonds()
        n = int(np.prod(shape))
        ring = LayerRing.of(SpinGraph.of(bonds, couplings, np.zeros(n)), np.arange(n).reshape(shape[0], -1).copy())
        assert ring is not None
        assert ring.is_feasible or shape == (11, 14)  # whose layers are across the longer axis
    square = EdwardsAnderson(shape=(13, 13), seed=1)
    bonds, couplings = square.bonds()
    assert best_plan(SpinGraph.of(bonds, 1e6 * couplings, np.zeros(169))).is_feasible


def test_an_explicit_matrix_that_is_a_torus_is_seen_as_one() -> None:
    lattice = EdwardsAnderson(shape=(6, 8), seed=2)
    bonds, couplings = lattice.bonds()
    matrix = coupling_matrix(bonds, couplings, 48).tolist()
    drawn, explicit = (exact_reference(SpinGlassSpec(couplings=c), 0.8) for c in (lattice, matrix))
    assert explicit.method == drawn.method == "transfer matrix, layer by layer"
    assert explicit.beta_f == pytest.approx(drawn.beta_f, abs=1e-10)


@pytest.mark.parametrize("field", [0.0, 0.4])
def test_fixed_spins_are_summed_over(field: float, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = random_lattice((4, 5), 1.0, field, periodic=True)
    whole = best_plan(graph)
    monkeypatch.setattr(site_transfer, "_IN_CACHE", 6)
    narrow = best_plan(graph)
    assert narrow.frontier <= 6 < whole.frontier
    assert len(narrow.fixed) >= 3
    assert_close(site_transfer_cumulants(graph), enumerated(graph))


@pytest.mark.parametrize("beta", [50.0, 1e3, 1e9])
def test_cold_glasses_are_their_ground_states(beta: float) -> None:
    spec = SpinGlassSpec(couplings=EdwardsAnderson(shape=(4, 7), seed=5, distribution="pm1"))
    cold, levels = exact_reference(spec, beta), exact_reference(spec, 12.0)
    # at beta = 12 the first excitation, 4 J higher, weighs exp(-48): the energy is that of the ground states
    energy = levels.observables["energy_per_site"]
    entropy = -levels.beta_f + 12 * energy * 28
    assert cold.observables["energy_per_site"] == pytest.approx(energy, rel=1e-12)
    assert -cold.beta_f == pytest.approx(-beta * energy * 28 + entropy, rel=1e-12, abs=1e-9)
    assert cold.observables["heat_capacity_per_site"] < 1e-10


def test_exponents_whose_squares_are_no_numbers_are_refused() -> None:
    with pytest.raises(NoExactReferenceError, match=r"add up to .* of at most 1e\+100"):
        exact_reference(SpinGlassSpec(couplings=EdwardsAnderson(shape=(5, 5))), 1e120)


def test_cold_fields_align_every_spin() -> None:
    spec = SpinGlassSpec(couplings=EdwardsAnderson(shape=(4, 10)), fields=(1e5,) * 40)
    _, couplings = spec.bonds()
    assert -exact_reference(spec, 1.0).beta_f == pytest.approx(4e6 + float(couplings.sum()), rel=1e-14)


@pytest.mark.parametrize("beta", [-0.1, inf])
def test_a_beta_that_is_no_temperature_is_refused(beta: float) -> None:
    with pytest.raises(InvalidValueError, match="beta is"):
        exact_reference(ENUMERABLE[0], beta)


def test_a_complete_graph_is_refused_before_its_couplings_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(self: SherringtonKirkpatrick) -> None:
        pytest.fail(f"{self.n} spins were drawn")

    monkeypatch.setattr(SherringtonKirkpatrick, "bonds", drawn)
    target = SpinGlass(SpinGlassSpec(couplings=SherringtonKirkpatrick(n=300)))
    with pytest.raises(NoExactReferenceError, match="44850 coupled pairs"):
        target.exact_reference(1.0)
