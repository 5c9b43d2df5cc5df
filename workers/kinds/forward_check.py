"""Whether a trained model reaches where the target is: its weights on Monte Carlo samples of the target."""

import time
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64

from zoo.catalog import build_chains
from zoo.core.models import Weighable
from zoo.core.random import RandomStream
from zoo.core.targets import ThermodynamicState
from zoo.estimators.weights import forward_effective_sample_fraction, unseen_fraction
from zoo.samplers.base import RunPlan
from zoo.specs.estimate import ForwardCheck
from zoo.specs.samplers import ParallelTemperingSpec, SamplerSpec, default_sampler
from zoo.specs.targets.base import TargetSpec

NUM_SAMPLES = 2000
MAX_CHAINS = 100
MAX_SITES = 1024
"""Larger systems are not checked: their chains take too long to forget where they began."""

BUDGET_SECONDS = 5.0
"""Chains that take longer are given up, and nothing is said of the model."""

_LOCAL = frozenset({"hmc", "metropolis"})
"""Chains that seldom leave a mode."""
_TEMPERED = ParallelTemperingSpec(burn_in=300, thin=2)
"""Chains that do; few steps of them, since every one is a step at each of their temperatures."""

_WAYS_BACK = 2**26  # index of the stream of auxiliary variables
_DOMAIN = 2**40 + 2**39  # beside those of training steps, of the evaluation and of the division of data


class _OutOfTimeError(Exception):
    """The budget is spent."""


@dataclass(frozen=True)
class ForwardSamples:
    """Samples of one state of a target, from the chains that suit it best; many short chains, which start anywhere."""

    target: TargetSpec
    state: ThermodynamicState
    seed: int
    budget_seconds: float = BUDGET_SECONDS

    def check(
        self, model: Weighable, log_weights: Float64[np.ndarray, " sample"], condition: dict[str, float]
    ) -> ForwardCheck | None:
        """What the chains say of ``model``, whose own samples have ``log_weights``.

        Where they speak for a missing mode and may themselves be stuck where they began, tempered ones are asked too:
        these find out how much of the target a mode has.  None where the system is too large, no chains move it, or
        they are too slow.
        """
        sampler = _sampler(self.target)
        if sampler is None or self.target.space.num_sites > MAX_SITES:
            return None
        first = self._checked(model, log_weights, condition, sampler)
        if first is None or first.doubt is None or sampler.kind not in _LOCAL:
            return first
        return self._checked(model, log_weights, condition, _TEMPERED) or first

    def _checked(
        self,
        model: Weighable,
        log_weights: Float64[np.ndarray, " sample"],
        condition: dict[str, float],
        sampler: SamplerSpec,
    ) -> ForwardCheck | None:
        try:
            forward = self._log_weights(model, sampler)
        except _OutOfTimeError:
            return None
        return ForwardCheck(
            condition=condition,
            forward_effective_sample_fraction=forward_effective_sample_fraction(forward),
            num_forward_samples=len(forward),
            unseen_fraction=unseen_fraction(forward, log_weights),
            effective_sample_fraction=1 / float(np.mean(_relative(log_weights) ** 2)),
            num_samples=len(log_weights),
            sampler=sampler.kind,
        )

    def _log_weights(self, model: Weighable, sampler: SamplerSpec) -> Float64[np.ndarray, " sample"]:
        """-beta E - log q of the chains' configurations."""
        ends_at = time.monotonic() + self.budget_seconds

        def pause() -> None:
            if time.monotonic() > ends_at:
                raise _OutOfTimeError

        num_chains = min(sampler.num_chains, MAX_CHAINS)
        plan = RunPlan(NUM_SAMPLES // num_chains, sampler.burn_in, sampler.thin)
        chains = build_chains(sampler, self.state.target, self.state.beta)
        rng = RandomStream(self.seed, _DOMAIN)
        drawn = list(chains.draws(num_chains, plan, rng, pause))
        device = next(model.parameters()).device
        with torch.inference_mode():
            x = torch.cat([draw.configurations for draw in drawn]).to(device)
            log_prob = model.log_ratio(x, rng.spawn(_WAYS_BACK)).cpu()
        energies = torch.cat([draw.energies for draw in drawn]).cpu()
        return np.asarray((-self.state.beta * energies - log_prob).numpy(), np.float64)


def _sampler(target: TargetSpec) -> SamplerSpec | None:
    """The chains that suit ``target`` best; None where none move it."""
    try:
        return default_sampler(target)
    except StopIteration:
        return None


def _relative(log_weights: Float64[np.ndarray, " sample"]) -> Float64[np.ndarray, " sample"]:
    """The weights in units of their mean."""
    weights = np.exp(log_weights - log_weights.max())
    return np.asarray(weights / weights.mean())
