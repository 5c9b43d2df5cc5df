"""Markov chains on a target as a user writes them: one spec for each kind."""

from abc import abstractmethod
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from zoo.specs.base import Spec
from zoo.specs.spaces import SpaceKind
from zoo.specs.targets.base import MAX_BETA, MIN_BETA, TargetSpec


class SamplerSpec(Spec):
    """Chains that run side by side.  Subclasses add ``kind`` and the parameters of a step.

    A step is one sweep over the sites, one cluster update or one trajectory: what one kind calls a unit of time.
    """

    description: ClassVar[str]
    citation: ClassVar[str]

    kind: str
    num_chains: int = Field(default=100, ge=1, le=100_000)
    burn_in: int = Field(default=1000, ge=0, le=100_000_000)
    """Steps that each chain makes before anything is kept; chains that adapt do it here."""
    thin: int = Field(default=10, ge=1, le=1_000_000)
    """Steps from one kept configuration to the next."""

    @abstractmethod
    def unsupported_reason(self, target: TargetSpec) -> str | None:
        """Why these chains cannot run on ``target``, or None when they can."""


def _lives_elsewhere(sampler: SamplerSpec, target: TargetSpec, kinds: tuple[SpaceKind, ...]) -> str | None:
    if target.space.kind in kinds:
        return None
    return f"sampler {sampler.kind!r} moves {' and '.join(kinds)}, and {target.kind!r} lives on {target.space.kind}"


_PAIRWISE = frozenset({"ising", "spin_glass", "hopfield"})
_LOCAL = _PAIRWISE | {"potts"}
_CLUSTERS = frozenset({"ising", "potts"})
_CONTINUOUS: tuple[SpaceKind, ...] = ("reals", "phase_space", "torus", "spheres", "particles")


def _not_among(sampler: SamplerSpec, target: TargetSpec, kinds: frozenset[str]) -> str | None:
    if target.kind in kinds:
        return None
    return f"sampler {sampler.kind!r} works on {', '.join(sorted(kinds))}; {target.kind!r} came"


def _clusters_refused(sampler: SamplerSpec, target: TargetSpec) -> str | None:
    """Clusters need bonds that favour equal values, and no field."""
    if (reason := _not_among(sampler, target, _CLUSTERS)) is not None:
        return reason
    parameters = target.model_dump()
    if parameters["J"] < 0 or parameters.get("h", 0) != 0:
        return f"sampler {sampler.kind!r} needs J >= 0 and no field; use 'metropolis' or 'heat_bath'"
    return None


class MetropolisSpec(SamplerSpec):
    """Single-site Metropolis updates, all sites of one colour together."""

    description: ClassVar[str] = "single-site updates accepted with min(1, exp(-beta dE)), colour after colour"
    citation: ClassVar[str] = "Metropolis et al., J. Chem. Phys. 21, 1087 (1953)"

    kind: Literal["metropolis"] = "metropolis"

    def unsupported_reason(self, target: TargetSpec) -> str | None:
        """Spins with pair interactions, and Potts."""
        return _not_among(self, target, _LOCAL)


class HeatBathSpec(SamplerSpec):
    """Single-site updates from the conditional distribution (Gibbs sampling, Glauber dynamics)."""

    description: ClassVar[str] = "each site drawn from its conditional distribution, colour after colour"
    citation: ClassVar[str] = "Glauber, J. Math. Phys. 4, 294 (1963); Creutz, Phys. Rev. D 21, 2308 (1980)"

    kind: Literal["heat_bath"] = "heat_bath"

    def unsupported_reason(self, target: TargetSpec) -> str | None:
        """Spins with pair interactions, and Potts."""
        return _not_among(self, target, _LOCAL)


class SwendsenWangSpec(SamplerSpec):
    """All clusters of activated bonds get new values."""

    description: ClassVar[str] = (
        "clusters of bonds activated with 1 - exp(-beta gain), all redrawn; no critical slowing"
    )
    citation: ClassVar[str] = "Swendsen and Wang, Phys. Rev. Lett. 58, 86 (1987)"

    kind: Literal["swendsen_wang"] = "swendsen_wang"
    burn_in: int = Field(default=200, ge=0, le=100_000_000)

    def unsupported_reason(self, target: TargetSpec) -> str | None:
        """Ferromagnetic Ising and Potts without a field."""
        return _clusters_refused(self, target)


class WolffSpec(SamplerSpec):
    """One cluster, grown from a random site, gets a new value."""

    description: ClassVar[str] = "one cluster grown from a random site and redrawn"
    citation: ClassVar[str] = "Wolff, Phys. Rev. Lett. 62, 361 (1989)"

    kind: Literal["wolff"] = "wolff"

    def unsupported_reason(self, target: TargetSpec) -> str | None:
        """Ferromagnetic Ising and Potts without a field."""
        return _clusters_refused(self, target)


class ParallelTemperingSpec(SamplerSpec):
    """Replicas at several temperatures that exchange configurations; those at the target's beta are kept."""

    description: ClassVar[str] = "replicas at temperatures from hot to the target's, neighbours exchanged by Metropolis"
    citation: ClassVar[str] = "Hukushima and Nemoto, J. Phys. Soc. Jpn. 65, 1604 (1996)"

    kind: Literal["parallel_tempering"] = "parallel_tempering"
    num_temperatures: int = Field(default=12, ge=2, le=256)
    min_beta_fraction: float = Field(default=0.1, ge=MIN_BETA, lt=1)
    """The hottest beta as a fraction of the target's; betas between are spaced geometrically."""

    def unsupported_reason(self, target: TargetSpec) -> str | None:
        """Whatever Metropolis or Hamiltonian Monte Carlo moves."""
        return None if target.kind in _LOCAL else _lives_elsewhere(self, target, _CONTINUOUS)


class HmcSpec(SamplerSpec):
    """Hamiltonian Monte Carlo: leapfrog trajectories, the step size found by dual averaging during burn-in."""

    description: ClassVar[str] = "leapfrog trajectories accepted by Metropolis, step size by dual averaging"
    citation: ClassVar[str] = "Duane et al., Phys. Lett. B 195, 216 (1987); Hoffman and Gelman, JMLR 15, 1593 (2014)"

    kind: Literal["hmc"] = "hmc"
    thin: int = Field(default=2, ge=1, le=1_000_000)
    num_leapfrog: int = Field(default=20, ge=1, le=10_000)
    """Leapfrog steps of one trajectory, on average."""
    target_acceptance: float = Field(default=0.8, gt=0.1, lt=1)
    """Acceptance that the step size is adapted to."""
    initial_step_size: float = Field(default=0.1, ge=1e-9, le=MAX_BETA)

    def unsupported_reason(self, target: TargetSpec) -> str | None:
        """Reals, phase space, angles and particles."""
        return _lives_elsewhere(self, target, _CONTINUOUS)


class DirectSpec(SamplerSpec):
    """Independent draws, of systems that can be drawn from without a chain."""

    description: ClassVar[str] = "independent exact draws, where a system has them"
    citation: ClassVar[str] = "each system's own"

    kind: Literal["direct"] = "direct"
    num_chains: int = Field(default=1000, ge=1, le=100_000)
    burn_in: Literal[0] = 0
    thin: Literal[1] = 1

    def unsupported_reason(self, target: TargetSpec) -> str | None:
        """The kinds that can be drawn from; a mixture of densities at beta = 1 only."""
        if target.kind not in DIRECTLY_SAMPLED:
            known = ", ".join(sorted(DIRECTLY_SAMPLED))
            return f"{target.kind!r} cannot be drawn from directly; those that can are {known}"
        if target.kind == "gaussian_mixture" and target.beta != 1:
            return f"a mixture is drawn from directly at beta = 1, and beta is {target.beta:g}; use 'hmc'"
        return None


DIRECTLY_SAMPLED = frozenset({"gaussian", "coupled_oscillators", "gaussian_mixture", "bars_and_stripes", "bitstrings"})
"""Kinds whose class is a ``HasDirectSampling``."""


def default_sampler(target: TargetSpec) -> SamplerSpec:
    """The chains that suit ``target`` best: direct draws, clusters, local updates, trajectories, in this order."""
    candidates: tuple[SamplerSpec, ...] = (DirectSpec(), SwendsenWangSpec(), MetropolisSpec(), HmcSpec())
    return next(spec for spec in candidates if spec.unsupported_reason(target) is None)


def path_sampler(asked: SamplerSpec | None, target: TargetSpec) -> SamplerSpec:
    """The chains that run at the states of a path to ``target``: those ``asked`` for, or the first kind that suits it.

    Direct draws exist at the end of a path alone, and tempered replicas are states of their own.

    Raises:
        ValueError: chains that do not run at given temperatures, or a target that no chains move.
    """
    suitable = {spec.kind: spec for spec in (SwendsenWangSpec(), MetropolisSpec(), HmcSpec(num_leapfrog=10))}
    names = ", ".join([*suitable, "heat_bath", "wolff"])
    if asked is not None and asked.kind in {"direct", "parallel_tempering"}:
        msg = f"sampler {asked.kind!r} cannot run at the states of a path; use one of {names}"
        raise ValueError(msg)
    if asked is not None and (reason := asked.unsupported_reason(target)) is not None:
        raise ValueError(reason)
    found = asked or next((s for s in suitable.values() if s.unsupported_reason(target) is None), None)
    if found is None:
        msg = f"no chains move {target.kind!r} along a path; ask for its exact free energy at /v1/targets:reference"
        raise ValueError(msg)
    return found


class ChainLength(Spec):
    """How long chains run where a method chooses the chains itself."""

    num_chains: int = Field(default=64, ge=1, le=100_000)
    burn_in: int = Field(default=500, ge=0, le=100_000_000)
    num_draws: int = Field(default=200, ge=4, le=10_000_000)
    thin: int = Field(default=2, ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.num_chains * self.num_draws < 100:
            msg = "num_chains x num_draws is below 100, too few for an error bar"
            raise ValueError(msg)
        return self
