"""The choice of method for each Ising model, and the agreement of what is chosen with enumeration of the target."""

from math import cosh, inf, log, nan, prod

import pytest

from zoo.exact.enumeration import enumeration_cumulants
from zoo.exact.ising import exact_reference
from zoo.specs.errors import InvalidValueError, NoExactReferenceError
from zoo.specs.targets.ising import IsingSpec
from zoo.targets.ising import Ising

COVERED = [
    (IsingSpec(shape=(1,), h=0.3), "independent spins"),
    (IsingSpec(shape=(1, 1, 1)), "independent spins"),
    (IsingSpec(shape=(2, 3, 2), J=0.0, h=-0.7), "independent spins"),
    (IsingSpec(shape=(9,), h=0.2), "transfer matrix"),
    (IsingSpec(shape=(2,), J=-1.0), "transfer matrix"),
    (IsingSpec(shape=(1, 8, 1), periodic=False), "transfer matrix"),
    (IsingSpec(shape=(3, 4)), "Kaufman 1949"),
    (IsingSpec(shape=(2, 1, 5)), "Kaufman 1949"),
    (IsingSpec(shape=(4, 4), J=-1.0), "Kaufman 1949"),
    (IsingSpec(shape=(3, 4), J=-1.0), "transfer matrix"),
    (IsingSpec(shape=(4, 3), h=0.5), "transfer matrix"),
    (IsingSpec(shape=(4, 4), periodic=False), "transfer matrix"),
    (IsingSpec(shape=(2, 2, 3), h=0.1), "enumeration"),
    (IsingSpec(shape=(2, 2, 2)), "enumeration"),
    (IsingSpec(shape=(2, 3, 2), periodic=False, J=-0.5), "enumeration"),
    (IsingSpec(shape=(1, 1), lattice="triangular", h=0.2), "independent spins"),
    (IsingSpec(shape=(6, 1), lattice="triangular", J=-0.7, h=0.2), "transfer matrix"),
    (IsingSpec(shape=(1, 2), lattice="triangular"), "transfer matrix"),
    (IsingSpec(shape=(1, 5), lattice="triangular", periodic=False), "transfer matrix"),
    (IsingSpec(shape=(3, 4), lattice="triangular", J=-1.0), "transfer matrix"),
    (IsingSpec(shape=(4, 2), lattice="triangular", h=-0.4), "transfer matrix"),
    (IsingSpec(shape=(4, 3), lattice="triangular", periodic=False, J=-1.0, h=0.3), "transfer matrix"),
]


@pytest.mark.parametrize(("spec", "method"), COVERED, ids=str)
@pytest.mark.parametrize("beta", [0.0, 0.3, 1.1])
def test_reference_is_the_enumeration_of_the_targets_own_energy(spec: IsingSpec, method: str, beta: float) -> None:
    target, sites = Ising(spec), prod(spec.shape)
    expected = enumeration_cumulants(lambda s: target.energy(s.reshape(-1, *spec.shape)), sites, beta)
    found = target.exact_reference(beta)
    assert found.method == ("independent spins" if beta == 0 else method)
    assert found.beta_f == pytest.approx(-expected.log_z, abs=1e-10, rel=0)
    energy = expected.mean / (beta * sites) if beta else 0.0
    assert found.observables["energy_per_site"] == pytest.approx(energy, abs=1e-10)
    assert found.observables["heat_capacity_per_site"] == pytest.approx(expected.variance / sites, abs=1e-10)


def test_the_energy_of_another_lattice_is_caught() -> None:
    reference = exact_reference(IsingSpec(shape=(3, 4)), 0.4)
    target = Ising(IsingSpec(shape=(3, 4), periodic=False))
    other = enumeration_cumulants(lambda s: target.energy(s.reshape(-1, 3, 4)), 12, 0.4)
    assert abs(reference.beta_f + other.log_z) > 0.1


def test_beta_of_the_call_stands_in_for_beta_of_the_spec() -> None:
    cold, warm = IsingSpec(shape=(4, 4), beta=2.0), IsingSpec(shape=(4, 4), beta=0.1)
    assert exact_reference(cold, 0.4) == exact_reference(warm, 0.4)


ONSAGER = "onsager_beta_f_per_site"


@pytest.mark.parametrize("beta", [0.2, 0.44, 0.7, 2.0])
def test_onsagers_limit_stands_beside_the_finite_value(beta: float) -> None:
    # at a distance from the critical point both phases approach the limit like exp(-L / xi), the ordered one with ln 2
    reference = exact_reference(IsingSpec(shape=(256, 256)), beta)
    per_site = (reference.beta_f + (log(2) if beta > 0.45 else 0.0)) / 256**2
    close = 2e-5 if beta == 0.44 else 1e-11
    assert reference.observables[ONSAGER] == pytest.approx(per_site, abs=close)
    assert reference.beta_f != reference.observables[ONSAGER] * 256**2


@pytest.mark.parametrize(
    "spec",
    [
        IsingSpec(shape=(8,)),
        IsingSpec(shape=(4, 4), h=0.1),
        IsingSpec(shape=(4, 4), periodic=False),
        IsingSpec(shape=(4, 4), lattice="triangular"),
        IsingSpec(shape=(2, 2, 2)),
    ],
    ids=str,
)
def test_onsagers_limit_is_given_for_his_lattice_alone(spec: IsingSpec) -> None:
    assert ONSAGER not in exact_reference(spec, 0.4).observables
    assert ONSAGER in exact_reference(IsingSpec(shape=(3, 5), J=-1.0), 0.4).observables


def test_citations_name_the_source() -> None:
    assert "Phys. Rev. 76, 1232" in exact_reference(IsingSpec(shape=(8, 8)), 0.44).citation
    assert all(exact_reference(spec, 0.4).citation for spec, _ in COVERED)


def test_independent_spins_do_not_overflow() -> None:
    spec = IsingSpec(shape=(10, 10, 10), J=0.0, h=2.0)
    assert exact_reference(spec, 1.0).beta_f == pytest.approx(-1000 * log(2 * cosh(2.0)), rel=1e-13)
    assert exact_reference(spec, 1e6).beta_f == pytest.approx(-2e9)
    assert exact_reference(spec, 1e6).observables["heat_capacity_per_site"] == 0


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (IsingSpec(shape=(3, 3, 3)), "3 x 3 x 3 cubic"),
        (IsingSpec(shape=(16, 16), h=0.1), "16 x 16 square .*may be 1 to 14.* Kaufman's formula"),
        (IsingSpec(shape=(15, 15), J=-1.0), "J < 0: both sides even"),
        (IsingSpec(shape=(20, 15), periodic=False), "open 15 x 20 square .*may be 1 to 14"),
        (IsingSpec(shape=(15, 15), lattice="triangular"), "15 x 15 triangular .*may be 1 to 14"),
    ],
    ids=str,
)
def test_what_no_method_covers_is_said_with_the_bound(spec: IsingSpec, why: str) -> None:
    with pytest.raises(NoExactReferenceError, match=f"{why}.*at most 24 sites"):
        exact_reference(spec, 0.4)


@pytest.mark.parametrize("beta", [200.0, 1e6, 1e9])
def test_chains_have_a_reference_however_cold(beta: float) -> None:
    found = exact_reference(IsingSpec(shape=(50,), J=1.0, h=0.1), beta)
    assert found.beta_f == pytest.approx(-55 * beta, rel=1e-14)
    assert found.observables["energy_per_site"] == pytest.approx(-1.1, rel=1e-14)
    assert exact_reference(IsingSpec(shape=(3,), J=-1.0), beta).beta_f == pytest.approx(-beta - log(6), rel=1e-14)
    with pytest.raises(NoExactReferenceError, match=r"open 50 chain .*at most 1e\+100"):
        exact_reference(IsingSpec(shape=(50,), periodic=False), 1e200)


@pytest.mark.parametrize("beta", [nan, inf, -0.1])
def test_a_beta_that_is_no_temperature_is_refused(beta: float) -> None:
    with pytest.raises(InvalidValueError, match="beta is"):
        exact_reference(IsingSpec(shape=(4, 4)), beta)


@pytest.mark.parametrize("spec", [IsingSpec(shape=(4, 4), J=1e9), IsingSpec(shape=(5,), h=1e9)], ids=str)
def test_couplings_that_overflow_are_refused(spec: IsingSpec) -> None:
    with pytest.raises(InvalidValueError, match="finite"):
        exact_reference(spec, 1e300)
