"""Free energies by the conventional routes: thermodynamic integration, multistate reweighting, annealed importance.

    beta_f = -ln Z = -ln Z_0 + (-ln Z_1 / Z_0),

the first term exact, the second from Markov chains at states along a ``Path``.  All states run as one batch, and the
run is a generator that tells its progress, so that its owner can stop between any two steps.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float64
from scipy.integrate import cumulative_trapezoid
from torch import Tensor

from zoo.core.random import RandomStream
from zoo.core.targets import Target
from zoo.estimators.free_energy import importance_beta_f
from zoo.estimators.integration import gauss_lobatto, lobatto_integral
from zoo.estimators.multistate import multistate_beta_f, thinned
from zoo.references.choice import PILOT_DRAWS, chosen_path, needs_pilot
from zoo.references.diagnostics import StateDiagnostics, doubts_of_overlap, doubts_of_states, state_diagnostics
from zoo.references.path import BuildChains, Path
from zoo.references.plan import Method, Part, ReferencePlan, Run, Steps, Work
from zoo.references.sampling import Samples, chains_at, checked_slopes, sampled, started
from zoo.samplers.annealed_importance import AssemblyLine, annealed_log_weights
from zoo.specs.estimate import Estimate
from zoo.specs.samplers import ChainLength

_PLACING_CHAINS = 8
_LEAST_SPREAD = 0.05  # of the mean spread along a path: where nothing seems to change there are states nevertheless


@dataclass(frozen=True)
class ReferenceResult:
    """The estimate of beta_f, and the evidence for it.  ``states`` are empty for annealed importance sampling."""

    estimate: Estimate
    solved_system: str
    log_z0: float
    lambdas: tuple[float, ...]
    acceptance: tuple[float, ...]
    states: tuple[StateDiagnostics, ...] = ()
    neighbour_overlap: tuple[float, ...] = ()
    quadrature_error: float | None = None


def reference_free_energy(
    target: Target, beta: float, plan: ReferencePlan, build: BuildChains, rng: RandomStream
) -> Steps[ReferenceResult]:
    """The free energy -ln Z of exp(-beta E) / Z by ``plan``, with ``build`` for the chains.

    Raises:
        InvalidValueError: chains that cannot run on the target.
        NumericalError: energies that are not numbers, states without any overlap, a system that runs away.
    """
    run = Run(target, beta, plan, build, rng)
    work = Work(_all_steps(run))
    path = yield from chosen_path(run, work)
    return (yield from _ROUTES[plan.method](run, path, work))


def _integration(run: Run, path: Path, work: Work) -> Steps[ReferenceResult]:
    """int_0^1 <du/dt> dt at Gauss-Lobatto points."""
    t, _ = gauss_lobatto(run.plan.num_states)
    samples = yield from sampled(run, path, t, work)
    states = _diagnosed(path, t, samples)
    integral = lobatto_integral(np.array([s.derivative for s in states]), np.array([s.standard_error for s in states]))
    doubts = doubts_of_states(states)
    if integral.quadrature_error > integral.statistical_error:
        doubts += (f"the rule itself errs by up to {integral.quadrature_error:.2g}; use more states",)
    value = integral.value - path.log_z0
    estimate = Estimate(
        value=value,
        standard_error=max(integral.standard_error, float(np.spacing(abs(value)))),
        num_samples=samples.slopes.size,
        method="thermodynamic_integration",
        reliable=not doubts,
        warnings=doubts,
    )
    result = _result(path, t, samples.acceptance, estimate)
    return replace(result, states=states, quadrature_error=integral.quadrature_error)


def _multistate(run: Run, path: Path, work: Work) -> Steps[ReferenceResult]:
    """Reweighting between all states."""
    t = yield from _placed(run, path, work)
    samples = yield from sampled(run, path, t, work)
    states = _diagnosed(path, t, samples)
    yield work.now("solving for the free energies of all states")
    slopes = thinned(len(t), samples.slopes)
    guess = _cumulative(t, np.array([s.derivative for s in states]))
    solved = multistate_beta_f((t**path.exponent)[:, None, None, None] * slopes, guess)
    doubts = doubts_of_states(states) + doubts_of_overlap(solved.neighbour_overlap)
    value = float(solved.beta_f[-1]) - path.log_z0
    estimate = Estimate(
        value=value,
        standard_error=max(float(solved.standard_errors[-1]), float(np.spacing(abs(value)))),
        num_samples=slopes.size,
        method="mbar",
        reliable=not doubts,
        warnings=doubts,
    )
    result = _result(path, t, samples.acceptance, estimate)
    return replace(result, states=states, neighbour_overlap=tuple(solved.neighbour_overlap.tolist()))


def _annealing(run: Run, path: Path, work: Work) -> Steps[ReferenceResult]:
    """Weights of num_chains x num_draws independent runs from l = 0 to 1."""
    length, rows = run.plan.length, run.plan.num_rows
    t = yield from _placed(run, path, work)
    lambdas = torch.from_numpy(t**path.exponent)
    chains = chains_at(run, path, t)
    state = yield from started(chains, path, run, rows, work)
    line = AssemblyLine(chains, lambdas, lambda x: checked_slopes(path, x), path.draw, length.thin)
    kept: list[Tensor] = []
    runs = annealed_log_weights(line, state, run.rng.spawn(Part.DRAWS))
    while len(kept) < length.num_draws:
        weights = next(runs)
        if weights is not None:
            kept.append(weights)
        yield work.spent(rows * length.thin, "annealing")
    estimate = importance_beta_f(torch.cat(kept) + path.log_z0).model_copy(update={"method": "ais"})
    return _result(path, t, (), estimate)


_ROUTES: dict[Method, Callable[[Run, Path, Work], Steps[ReferenceResult]]] = {
    "thermodynamic_integration": _integration,
    "mbar": _multistate,
    "ais": _annealing,
}


def _placed(run: Run, path: Path, work: Work) -> Steps[Float64[np.ndarray, " state"]]:
    """Values of t at equal thermodynamic lengths int sd(du/dt) dt, the spread measured in a short run.

    Equal lengths make the overlap of all neighbours the same (Crooks, Phys. Rev. Lett. 99, 100602 (2007)).
    """
    uniform = np.linspace(0, 1, run.plan.num_states)
    length = run.plan.length
    short = ChainLength(num_chains=_PLACING_CHAINS, burn_in=length.burn_in // 2, num_draws=PILOT_DRAWS, thin=1)
    plan = ReferencePlan(run.plan.method, run.plan.num_states, short)
    placing = replace(run, plan=plan, rng=run.rng.spawn(Part.PLACING))
    samples = yield from sampled(placing, path, uniform, work)
    spread = _derivatives(path, uniform, samples.slopes).reshape(len(uniform), -1).std(1)
    spread = np.maximum(spread, _LEAST_SPREAD * spread.mean())
    if not spread.any():
        return uniform
    travelled = _cumulative(uniform, spread)
    placed: Float64[np.ndarray, " state"] = np.interp(uniform, travelled / travelled[-1], uniform)
    placed[[0, -1]] = 0, 1
    return placed


def _derivatives(
    path: Path, t: Float64[np.ndarray, " state"], slopes: Float64[np.ndarray, "state chain draw"]
) -> Float64[np.ndarray, "state chain draw"]:
    """du/dt = dl/dt s."""
    rate = path.exponent * t ** (path.exponent - 1)
    derivatives: Float64[np.ndarray, "state chain draw"] = rate[:, None, None] * slopes
    return derivatives


def _diagnosed(path: Path, t: Float64[np.ndarray, " state"], samples: Samples) -> tuple[StateDiagnostics, ...]:
    rows = zip(t**path.exponent, _derivatives(path, t, samples.slopes), samples.acceptance, strict=True)
    return tuple(state_diagnostics(float(lambda_), row, acceptance) for lambda_, row, acceptance in rows)


def _cumulative(
    t: Float64[np.ndarray, " state"], values: Float64[np.ndarray, " state"]
) -> Float64[np.ndarray, " state"]:
    """int_0^t values dt' at each t, by trapezia."""
    total: Float64[np.ndarray, " state"] = cumulative_trapezoid(values, t, initial=0.0)
    return total


def _result(
    path: Path, t: Float64[np.ndarray, " state"], acceptance: tuple[float, ...], estimate: Estimate
) -> ReferenceResult:
    return ReferenceResult(
        estimate=estimate,
        solved_system=path.description,
        log_z0=path.log_z0,
        lambdas=tuple((t**path.exponent).tolist()),
        acceptance=acceptance,
    )


def _all_steps(run: Run) -> int:
    """Chain steps of the whole run."""
    plan, length = run.plan, run.plan.length
    moves = length.num_draws + (plan.num_states - 1 if plan.method == "ais" else 0)
    steps = plan.num_rows * (length.burn_in + moves * length.thin)
    if plan.method != "thermodynamic_integration":
        steps += plan.num_states * _PLACING_CHAINS * (length.burn_in // 2 + PILOT_DRAWS)
    return steps + (length.num_chains * (length.burn_in + PILOT_DRAWS) if needs_pilot(run.target) else 0)
