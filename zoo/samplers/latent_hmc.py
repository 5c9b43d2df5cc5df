"""Hamiltonian Monte Carlo in the latent space of a flow: trajectories where the target is nearly a normal distribution.

With x = f(z) the target's density in the latent coordinates is exp(-U(z)) / Z,

    U(z) = beta E(f(z)) - ln |det df/dz|,      -grad U = (df/dz)^T beta F(f(z)) + grad ln |det df/dz|,

with F = -grad E the target's own force, carried back by one reverse pass through the flow.  Chains of z that leave
exp(-U) invariant are chains of x = f(z) that leave exp(-beta E) / Z invariant, whatever the flow has learnt; the better
it is, the more U looks like the base density's, and the fewer trajectories a chain takes to forget where it was.

A model that averages a flow over the images h of a configuration has x = h f(z), and (z, h) are sampled together:
before each trajectory another h, all equally likely, is accepted with min(1, exp(U_h(z) - U_h'(z))).  Where the target
has the symmetry that is always, so chains visit modes that one f does not connect.

Source: Hoffman et al., arXiv:1903.03704; Li and Wang, Phys. Rev. Lett. 121, 260601 (2018).
"""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float, Float64, Int, Num
from torch import Tensor

from zoo.core.models import Model
from zoo.core.random import RandomStream
from zoo.core.spaces import ContinuousSpace, Reals, Spheres, Torus
from zoo.core.symmetries import Images
from zoo.core.targets import ContinuousTarget, ThermodynamicState
from zoo.models.flow import Flow
from zoo.models.symmetrized import Symmetrized
from zoo.samplers.base import Chains, StepInfo
from zoo.samplers.hmc import Hmc, HmcState, acceptance_probability
from zoo.specs.errors import CapabilityMissingError, NumericalError
from zoo.specs.samplers import HmcSpec
from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import Symmetry

_TRAJECTORY, _ELEMENT, _ELEMENT_ACCEPTANCE = range(3)  # parts of a step's stream
_ATTEMPTS = 16

Elements = Int[Tensor, " chain"]


@dataclass(frozen=True)
class LatentMap:
    """x = h f(z): the bijection of a flow, and the images that its model is averaged over, the identity first."""

    flow: Flow
    images: Images | None = None

    @property
    def num_elements(self) -> int:
        """How many images there are."""
        return 1 if self.images is None else len(self.images)

    def forward(
        self, z: Float[Tensor, "chain *latent"], elements: Elements
    ) -> tuple[Float[Tensor, "chain *event"], Float64[Tensor, " chain"]]:
        """X = h f(z) in the dtype of the network, and ln |det dx/dz|, to which h contributes nothing."""
        network = self.flow.network
        features = network.features(self.flow.conditions)
        x, log_det = network.bijection.forward_and_log_det(z.flatten(1).to(network.like.dtype), features)
        x = x.view(-1, *self.flow.space.event_shape)
        return x if self.images is None else self.images.of(x, elements), log_det


def latent_map(model: Model) -> LatentMap:
    """The map from latents to configurations of a flow, or of the average of one over images.

    Raises:
        CapabilityMissingError: the model is made in another way.
    """
    inner, images = (model.inner, model.elements) if isinstance(model, Symmetrized) else (model, None)
    if isinstance(inner, Flow):
        return LatentMap(inner, images)
    msg = (
        "trajectories in a latent space need a flow, a differentiable map from real latent variables, and the model is "
        "none; the corrections 'metropolis' and 'importance' work with every model that has an exact density"
    )
    raise CapabilityMissingError(msg)


@final
class LatentEnergy(ContinuousTarget):
    """U(z) = beta E(h f(z)) - ln |det df/dz| of latent vectors; row c of every batch has element h_c."""

    def __init__(self, latent: LatentMap, state: ThermodynamicState, elements: Elements) -> None:
        self._latent = latent
        self._state = state
        self._elements = elements
        self._space = latent_space(latent.flow.space.spec)

    @property
    def space(self) -> ContinuousSpace:
        """Angles or unit vectors where the flow is one of these, else real numbers, shape (site,)."""
        return self._space

    @property
    def symmetries(self) -> frozenset[Symmetry]:
        """None that are known."""
        return frozenset()

    def energy(self, x: Num[Tensor, "chain *latent"]) -> Float[Tensor, " chain"]:
        """U of latents ``x``, float64, dimensionless."""
        configurations, log_det = self._latent.forward(x, self._elements)
        return self._state.reduced_energy(configurations) - log_det

    def force(self, x: Float[Tensor, "chain *latent"]) -> Float64[Tensor, "chain *latent"]:
        """-grad U of latents ``x``, by one reverse pass, also inside inference mode."""
        with torch.inference_mode(mode=False), torch.enable_grad():
            z = x.detach().to(self._latent.flow.network.like.dtype, copy=True).requires_grad_()
            configurations, log_det = self._latent.forward(z, self._elements.clone())
            pulled = self._state.reduced_force(configurations.detach())
            (gradient,) = torch.autograd.grad((configurations * pulled).sum() + log_det.sum(), z)
        return gradient.to(torch.float64)

    def observables(self, x: Num[Tensor, "chain *latent"]) -> dict[str, Float[Tensor, " chain"]]:
        """U itself."""
        return {"latent_energy": self.energy(x)}


def latent_space(data: SpaceSpec) -> ContinuousSpace:
    """Where the latents of a flow live whose configurations live on ``data``."""
    if data.kind == "torus":
        return Torus(SpaceSpec(kind="torus", event_shape=(data.num_sites,)))
    if data.kind == "spheres":
        return Spheres(data)
    return Reals(SpaceSpec(kind="reals", event_shape=(data.num_sites,)))


@dataclass(frozen=True)
class LatentState:
    """Where the chains are: latents with U and its force, the adaptation of the step size, and the images."""

    trajectory: HmcState
    elements: Elements


@final
class LatentHmc(Chains[LatentState]):
    """Trajectories in the latent space of ``model``; one step size for all chains, found in ``warm_up``."""

    def __init__(self, spec: HmcSpec, model: Model, state: ThermodynamicState) -> None:
        super().__init__(state.target, state.beta)
        self.spec = spec
        self._latent = latent_map(model)
        self._state = state

    def init(self, num_chains: int, rng: RandomStream) -> LatentState:
        """Chains at draws of the base density, under images drawn evenly: the model's own samples.

        Those of infinite energy are drawn again, a few times.

        Raises:
            NumericalError: a chain has found no place of finite energy.
        """
        z, elements = self._start(num_chains, rng.spawn(0))
        lost = self._is_lost(z, elements)
        for attempt in range(1, _ATTEMPTS):
            if not bool(lost.any()):
                break
            others, turned = self._start(num_chains, rng.spawn(attempt))
            chosen = lost.reshape(-1, *[1] * (z.ndim - 1))
            z, elements = torch.where(chosen, others, z), torch.where(lost, turned, elements)
            lost = self._is_lost(z, elements)
        if bool(lost.any()):
            msg = (
                f"{int(lost.sum())} of {num_chains} chains found no configuration of finite energy among {_ATTEMPTS} "
                "samples of the model; train it further"
            )
            raise NumericalError(msg)
        return self._at(z, elements)

    def state_at(self, configurations: Float[Tensor, "chain *event"]) -> LatentState:
        """Chains that start from given ``configurations``, under the identity; their step size is not yet adapted."""
        network = self._latent.flow.network
        features = network.features(self._latent.flow.conditions)
        z, _ = network.bijection.inverse_and_log_det(configurations.flatten(1).to(network.like.dtype), features)
        z = z.view(len(z), *latent_space(self._latent.flow.space.spec).event_shape)
        return self._at(z, torch.zeros(len(z), dtype=torch.int64, device=z.device))

    def step(self, state: LatentState, rng: RandomStream) -> tuple[LatentState, StepInfo]:
        """Another image where there are several, then one trajectory."""
        state = self._turned(state, rng)
        after, info = self._chains(state.elements).step(state.trajectory, rng.spawn(_TRAJECTORY))
        return LatentState(after, state.elements), info

    def warm_up(self, state: LatentState, num_steps: int, rng: RandomStream) -> LatentState:
        """``num_steps`` steps during which the step size is adapted."""
        for time in range(num_steps):
            stream = rng.spawn(time)
            state = self._turned(state, stream)
            after = self._chains(state.elements).warm_up(state.trajectory, 1, stream.spawn(_TRAJECTORY))
            state = LatentState(after, state.elements)
        return state

    def configurations(self, state: LatentState) -> Float[Tensor, "chain *event"]:
        """Where the chains are: h f(z), in the dtype of the network."""
        with torch.no_grad():
            return self._latent.forward(state.trajectory.positions, state.elements)[0]

    def step_size(self, state: LatentState) -> float:
        """The step size of the trajectories, in units of the latent variables."""
        return float(state.trajectory.adaptation.adapted)

    def _turned(self, state: LatentState, rng: RandomStream) -> LatentState:
        """The chains under other images, where those were accepted."""
        if self._latent.num_elements == 1:
            return state
        before, rows = state.trajectory, len(state.elements)
        offered = self._drawn(rows, rng, state.elements.device)
        rise = self._energy(offered).energy(before.positions) - before.energies
        uniforms = rng.spawn(_ELEMENT_ACCEPTANCE).uniforms(rows, 1, rise.device)[:, 0]
        elements = torch.where(uniforms < acceptance_probability(rise), offered, state.elements)
        return LatentState(self._chains(elements).moved_to(before, before.positions), elements)

    def _start(self, num_chains: int, rng: RandomStream) -> tuple[Float64[Tensor, "chain *latent"], Elements]:
        """Latents drawn from the base density, and images."""
        network = self._latent.flow.network
        z = network.base.sample(num_chains, rng.spawn(_TRAJECTORY), network.like).to(torch.float64)
        z = z.view(num_chains, *latent_space(self._latent.flow.space.spec).event_shape)
        return z, self._drawn(num_chains, rng, z.device)

    def _is_lost(self, z: Float64[Tensor, "chain *latent"], elements: Elements) -> Bool[Tensor, " chain"]:
        """Where a chain would never move: nothing is accepted from an energy that is not finite."""
        return ~self._energy(elements).energy(z).isfinite()

    def _at(self, z: Float[Tensor, "chain *latent"], elements: Elements) -> LatentState:
        return LatentState(self._chains(elements).state_at(z), elements)

    def _chains(self, elements: Elements) -> Hmc:
        return Hmc(self.spec, self._energy(elements), 1.0)

    def _energy(self, elements: Elements) -> LatentEnergy:
        return LatentEnergy(self._latent, self._state, elements)

    def _drawn(self, num_chains: int, rng: RandomStream, device: torch.device) -> Elements:
        """An image for each chain, all equally likely."""
        uniforms = rng.spawn(_ELEMENT).uniforms(num_chains, 1, device)[:, 0].to(torch.float64)
        return (uniforms * self._latent.num_elements).long()
