"""The quartic action against a loop over sites, its force, its scalings, and its averages against quadrature."""

from itertools import product
from math import log, sqrt

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from zoo.core.targets import negative_gradient
from zoo.exact.quadrature import PlaneFunction, plane_means
from zoo.specs.targets.phi4 import Phi4Spec
from zoo.targets.phi4 import Phi4

SPECS = [
    Phi4Spec(shape=(1,), mass_squared=-1.0, coupling=0.5),
    Phi4Spec(shape=(2,), mass_squared=1.0, coupling=0.0),
    Phi4Spec(shape=(7,), mass_squared=-4.0, coupling=8.0),
    Phi4Spec(shape=(2, 3), mass_squared=0.3, coupling=1.0),
    Phi4Spec(shape=(4, 1), mass_squared=0.3, coupling=1.0),
    Phi4Spec(shape=(3, 2, 4), mass_squared=-1.5, coupling=0.7),
    Phi4Spec(shape=(2, 3, 2, 3), mass_squared=-1.5, coupling=0.7),
]


def by_sites(phi: np.ndarray, spec: Phi4Spec) -> float:
    """S of one configuration: phi (box phi) + m^2 phi^2 + lambda phi^4, with both neighbours along every axis."""
    action = 0.0
    for site in product(*(range(side) for side in spec.shape)):
        here = float(phi[site])
        box = 2 * len(spec.shape) * here
        for axis, side in enumerate(spec.shape):
            for step in (-1, 1):
                other = list(site)
                other[axis] = (site[axis] + step) % side
                box -= float(phi[tuple(other)])
        action += here * box + spec.mass_squared * here**2 + spec.coupling * here**4
    return action


def configurations(spec: Phi4Spec, num: int = 20) -> Tensor:
    return torch.from_numpy(np.random.default_rng(1).normal(size=(num, *spec.shape)))


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_energy_is_the_sum_over_sites(spec: Phi4Spec, dtype: torch.dtype) -> None:
    x = configurations(spec).to(dtype)
    energy = Phi4(spec).energy(x)
    assert energy.dtype == torch.float64
    assert energy.numpy() == pytest.approx([by_sites(phi, spec) for phi in x.double().numpy()], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_force_is_minus_the_gradient(spec: Phi4Spec) -> None:
    target, x = Phi4(spec), configurations(spec)
    force = target.force(x)
    assert torch.allclose(force, negative_gradient(target.energy, x), rtol=1e-12, atol=1e-12)
    assert torch.allclose(force, by_differences(target, x), rtol=1e-6, atol=1e-6)
    assert target.force(x.float()).dtype == torch.float64


def by_differences(target: Phi4, x: Tensor, h: float = 1e-5) -> Tensor:
    """-dS/dphi by central differences, coordinate by coordinate."""
    steps = h * torch.eye(x[0].numel(), dtype=x.dtype).reshape(-1, 1, *x.shape[1:])
    return torch.stack([(target.energy(x - s) - target.energy(x + s)) / (2 * h) for s in steps], 1).reshape(x.shape)


def test_a_pair_whose_two_coinciding_neighbours_count_once_is_caught() -> None:
    spec = Phi4Spec(shape=(2,), mass_squared=1.0, coupling=0.0)
    energy = Phi4(spec).energy(torch.tensor([[1.0, -1.0]]))
    assert energy.item() == 2 * 4 + 2  # two bonds of (1 + 1)^2, two sites
    assert energy.item() != 1 * 4 + 2


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_claimed_symmetries_hold(spec: Phi4Spec) -> None:
    target, x = Phi4(spec), configurations(spec)
    assert target.symmetries == {"z2", "lattice_translation", "lattice_point_group"}
    for axis in range(1, x.ndim):
        for y in (-x, x.roll(1, axis), x.flip(axis)):
            assert torch.allclose(target.energy(y), target.energy(x))


def test_the_textbook_scaling_is_the_one_of_the_docstring() -> None:
    spec = Phi4Spec(shape=(3, 4), mass_squared=0.8, coupling=1.4)
    x = torch.from_numpy(np.random.default_rng(2).normal(size=(5, 3, 4)))
    chi = sqrt(2) * x
    gradient = sum(((chi.roll(-1, a) - chi) ** 2).sum((1, 2)) for a in (1, 2)) / 2
    textbook = gradient + 0.8 / 2 * (chi**2).sum((1, 2)) + 1.4 / 4 * (chi**4).sum((1, 2))
    assert torch.allclose(textbook, Phi4(spec).energy(x))


def test_the_hopping_form_is_the_one_of_the_docstring() -> None:
    kappa, hopping_coupling, sites = 0.2, 0.1, 12
    spec = Phi4Spec(
        shape=(3, 4),
        coupling=hopping_coupling / kappa**2,
        mass_squared=(1 - 2 * hopping_coupling) / kappa - 4,
    )
    phi = torch.from_numpy(np.random.default_rng(3).normal(size=(5, 3, 4)))
    hops = sum((phi * phi.roll(-1, a)).sum((1, 2)) for a in (1, 2))
    potential = (phi**2 + hopping_coupling * (phi**2 - 1) ** 2).sum((1, 2))
    ours = Phi4(spec).energy(sqrt(kappa) * phi)
    assert torch.allclose(-2 * kappa * hops + potential, ours + hopping_coupling * sites)


@pytest.mark.parametrize(("m2", "g", "beta"), [(-1.0, 0.8, 1.0), (0.5, 1.0, 0.6), (-2.0, 2.0, 1.7)])
def test_means_of_observables_on_two_sites_are_the_exact_ones(m2: float, g: float, beta: float) -> None:
    target = Phi4(Phi4Spec(shape=(2,), mass_squared=m2, coupling=g))
    exact = target.exact_reference(beta).observables

    def observable(name: str) -> PlaneFunction:
        return lambda x: target.observables(torch.from_numpy(x))[name].numpy()

    names = [name for name in exact if not name.startswith("heat")]
    found = plane_means(
        lambda x: beta * target.energy(torch.from_numpy(x)).numpy(),
        (-5.0, -5.0),
        (5.0, 5.0),
        {name: observable(name) for name in names},
    )
    assert len(names) == 5
    for name in names:
        assert found[name] == pytest.approx(exact[name], abs=1e-9), name


def test_observables_are_means_over_the_lattice() -> None:
    spec = SPECS[3]
    target, x = Phi4(spec), configurations(spec)
    found = target.observables(x)
    assert torch.allclose(found["energy_per_site"], target.energy(x) / 6)
    assert torch.allclose(found["abs_magnetization"], x.mean((1, 2)).abs())
    assert torch.allclose(found["magnetization_squared"], x.mean((1, 2)) ** 2)
    assert torch.allclose(found["phi_fourth"], (x**4).mean((1, 2)))


@pytest.mark.parametrize("mass_squared", [0.0, -1.0])
def test_a_free_field_without_mass_is_refused(mass_squared: float) -> None:
    with pytest.raises(ValidationError, match="mass_squared > 0"):
        Phi4Spec(shape=(4, 4), mass_squared=mass_squared, coupling=0.0)


@pytest.mark.parametrize("bad", [{"coupling": -0.1}, {"shape": ()}, {"shape": (0,)}, {"shape": (2,) * 5}])
def test_parameters_outside_their_range_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Phi4Spec.model_validate({"shape": (2,), "mass_squared": 1.0, "coupling": 1.0} | bad)


def test_one_site_without_coupling_is_a_gaussian_integral() -> None:
    reference = Phi4(Phi4Spec(shape=(1,), mass_squared=2.0, coupling=0.0)).exact_reference(1.5)
    assert reference.beta_f == pytest.approx(-log(np.pi / 3) / 2, abs=1e-14)
