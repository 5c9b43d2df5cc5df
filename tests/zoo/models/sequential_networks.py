"""What tests of sequential networks have in common: models with scrambled weights, and what to measure of them."""

import torch
from jaxtyping import Bool, Num
from torch import Tensor

from zoo.catalog import build, build_objective, build_target
from zoo.core.models import ConditionalModel
from zoo.core.random import RandomStream
from zoo.core.spaces import DiscreteSpace, build_space
from zoo.core.targets import ThermodynamicState
from zoo.models.autoregressive import Autoregressive, sample_by_full_passes
from zoo.specs.models.base import ModelSpec
from zoo.specs.objectives import ReverseKlSpec
from zoo.specs.spaces import SpaceKind, SpaceSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.training import TrainingSpec
from zoo.training.problem import Problem
from zoo.training.trainer import Trainer, train

BETAS = (0.1, 0.44, 1.3, 2.0)


def scrambled(spec: ModelSpec, shape: tuple[int, ...], kind: SpaceKind = "spins", scale: float = 0.2) -> Autoregressive:
    """The model on three values or spins, with normal noise in every weight; at each of ``BETAS`` in turn by rows."""
    num_values = 3 if kind == "categorical" else None
    built = build(spec, build_space(SpaceSpec(kind=kind, event_shape=shape, num_values=num_values)), seed=3)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=scale)
    model = built.at(torch.full((1, 1), BETAS[1])) if isinstance(built, ConditionalModel) else built
    assert isinstance(model, Autoregressive)
    return model


def at_beta(model: Autoregressive, beta: float) -> Autoregressive:
    """The same network with another condition."""
    return Autoregressive(model.network, torch.full((1, 1), beta, dtype=torch.float64))


def total_probability(model: Autoregressive) -> float:
    """Sum of q over all configurations."""
    assert isinstance(model.space, DiscreteSpace)
    with torch.no_grad():
        return float(model.log_prob(model.space.enumerate()).exp().sum())


def differing_rows(model: Autoregressive, num_samples: int = 200, seed: int = 17) -> int:
    """Rows in which cached samples are not those of one full pass for each site, from the same uniforms."""
    rng = RandomStream(seed)
    x = model.sample(num_samples, rng)
    with torch.inference_mode():
        *_, (_, draws) = sample_by_full_passes(model, num_samples, rng)
        reference = draws.configurations()
    return int((x.flatten(1) != reference).any(1).sum())


def largest_log_prob_error(model: Autoregressive, num_samples: int = 64) -> float:
    """Largest |ln q of the sampling pass - ln q of the forward pass|, in units of max(1, |ln q|)."""
    x, log_prob = model.sample_and_log_prob(num_samples, RandomStream(8))
    with torch.inference_mode():
        forward = model.log_prob(x)
    return float(((log_prob - forward).abs() / forward.abs().clamp_min(1)).max())


def dependence(model: Autoregressive) -> Bool[Tensor, "site source"]:
    """Whether the parameters of a site feel the value of a source, by autograd on ten samples."""
    inputs = model.network.values.encode(model.sample(10, RandomStream(4))).requires_grad_()
    outputs = model.network(inputs, model.network.features(model.conditions))
    rows = [torch.autograd.grad(outputs[:, i].sum(), inputs, retain_graph=True)[0] for i in range(outputs.shape[1])]
    return torch.stack(rows).abs().amax((1, 3)) > 0


def earlier(num_sites: int) -> Bool[Tensor, "site source"]:
    """Whether a source comes before a site."""
    return torch.ones(num_sites, num_sites).tril(-1).bool()


def idle_parameters(model: Autoregressive) -> list[str]:
    """Names of parameters that no gradient of ln q reaches."""
    torch.autograd.backward(model.log_prob(model.sample(50, RandomStream(1))).sum())
    return [name for name, p in model.named_parameters() if p.grad is None or not bool(p.grad.any())]


def positions_that_matter(model: Autoregressive, rows: int) -> list[int]:
    """Shifts of a batch by which some row's forward ln q changes its bits."""
    x: Num[Tensor, batch * event] = model.sample(rows, RandomStream(3))
    with torch.inference_mode():
        log_prob = model.log_prob(x)
        shifts = range(1, rows) if rows == 32 else (1, 5, 17, 31)
        return [s for s in shifts if not torch.equal(model.log_prob(x.roll(s, 0)), log_prob.roll(s))]


def gap_per_site_after_training(spec: ModelSpec, learning_rate: float) -> float:
    """(<beta E + ln q> - beta_f) / N after 200 steps on the 4x4 Ising model, beta 0.44; by enumeration."""
    target = IsingSpec(shape=(4, 4), beta=0.44)
    state = ThermodynamicState(build_target(target), target.beta)
    space = state.target.space
    assert isinstance(space, DiscreteSpace)
    model = build(spec, space, seed=1)
    training = TrainingSpec(batch_size=200, max_steps=200, learning_rate=learning_rate)
    trainer = Trainer(build_objective(ReverseKlSpec()), Problem(state), training)
    for _ in train(trainer, trainer.init(model)):
        pass
    assert isinstance(model, Autoregressive)
    x = space.enumerate()
    with torch.no_grad():
        log_prob, reduced = model.log_prob(x), state.reduced_energy(x)
    return float((log_prob.exp() * (log_prob + reduced)).sum() + torch.logsumexp(-reduced, 0)) / 16
