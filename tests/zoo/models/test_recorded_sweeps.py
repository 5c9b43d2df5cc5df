"""A recorded sweep reads its numbers and conditions from memory, so that replaying it with new ones draws anew.

A recorder that runs the sweep again on every replay stands for a graph on a GPU: what is not read from the recording's
own memory would be what it was when it was recorded.
"""

import pytest
import torch
from torch import Tensor

from tests.conformance.cases import scramble
from zoo.catalog import build
from zoo.core.random import RandomStream
from zoo.core.spaces import build_space
from zoo.models.autoregressive import Autoregressive, ConditionalAutoregressive
from zoo.models.recorded_sweeps import MAX_RECORDINGS, RecordedSweeps, Run, Swept, swept
from zoo.models.site_network import SiteNetwork
from zoo.specs.models.autoregressive import AutoregressiveSpec
from zoo.specs.models.conditions import ConditionOn
from zoo.specs.models.continuous_autoregressive import ContinuousAutoregressiveSpec
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.pixelcnn import PixelCnnSpec
from zoo.specs.models.rnn import RnnSpec
from zoo.specs.models.transformer import TransformerSpec
from zoo.specs.spaces import SpaceSpec

BATCH = 64
SPINS = SpaceSpec(kind="spins", event_shape=(3, 4))
VALUES = SpaceSpec(kind="categorical", event_shape=(6,), num_values=3)
REALS = SpaceSpec(kind="reals", event_shape=(5,))
BETA = ConditionOn(beta=(0.2, 1.0))
CASES: tuple[tuple[AutoregressiveSpec, SpaceSpec], ...] = (
    (MadeSpec(width=16, depth=2, symmetry="z2"), SPINS),
    (MadeSpec(width=16), VALUES),
    (MadeSpec(width=16, condition_on=BETA), SPINS),
    (PixelCnnSpec(width=6), SPINS),
    (PixelCnnSpec(width=6, condition_on=BETA, symmetry="z2"), SPINS),
    (RnnSpec(width=8, dimension=2), SPINS),
    (TransformerSpec(width=8), SPINS),
    (ContinuousAutoregressiveSpec(width=8), REALS),
)


class Recorder:
    """Counts recordings; a replay runs the sweep again."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, run: Run) -> Run:
        self.count += 1
        run()  # a recording begins with runs whose values nobody sees
        return run


def network_of(spec: AutoregressiveSpec, space: SpaceSpec) -> SiteNetwork:
    model = build(spec, build_space(space), seed=1)
    scramble(model, 0.1)
    assert isinstance(model, Autoregressive | ConditionalAutoregressive)
    return model.network


def drawn(network: SiteNetwork, seed: int, beta: float | None, recorded: RecordedSweeps | None) -> Swept:
    conditions = None if beta is None else torch.tensor([[beta]], dtype=torch.float64)
    with torch.inference_mode():
        draws = network.values.draws(BATCH, network.space.num_sites, RandomStream(seed), network.like)
        run = swept if recorded is None else recorded.swept
        values, outputs = run(network, draws, BATCH, conditions)
        return Swept(values.clone(), outputs.clone())


def equal(a: Swept, b: Swept) -> bool:
    return torch.equal(a.values, b.values) and torch.equal(a.outputs, b.outputs)


@pytest.mark.parametrize(("spec", "space"), CASES, ids=str)
def test_replays_draw_what_sweeps_draw(spec: AutoregressiveSpec, space: SpaceSpec) -> None:
    network, recorder = network_of(spec, space), Recorder()
    recorded = RecordedSweeps(recorder)
    betas = (0.3, 0.9, 0.5) if spec.condition_on.names else (None, None, None)
    for seed, beta in enumerate(betas):
        assert equal(drawn(network, seed, beta, recorded), drawn(network, seed, beta, None))
    assert recorder.count == 1


def test_other_weights_are_recorded_anew() -> None:
    network, recorder = network_of(MadeSpec(width=16), SPINS), Recorder()
    network.requires_grad_(requires_grad=False)
    recorded = RecordedSweeps(recorder)
    before = drawn(network, 0, None, recorded)
    with torch.no_grad():
        network.get_parameter("output_bias").add_(1.0)
    after = drawn(network, 0, None, recorded)
    assert recorder.count == 2
    assert not equal(before, after)
    assert equal(after, drawn(network, 0, None, None))


def test_only_so_many_recordings_are_kept() -> None:
    network, recorder = network_of(MadeSpec(width=4), SPINS), Recorder()
    recorded = RecordedSweeps(recorder)
    sizes = [*range(1, MAX_RECORDINGS + 2), 1]
    for size in sizes:
        with torch.inference_mode():
            draws = network.values.draws(size, network.space.num_sites, RandomStream(0), network.like)
            recorded.swept(network, draws, size, None)
    assert recorder.count == len(sizes)


def test_a_recording_that_kept_its_first_numbers_is_caught() -> None:
    network = network_of(MadeSpec(width=16), SPINS)
    first: list[Swept] = []

    def frozen(run: Run) -> Run:
        values, outputs = run()
        first.append(Swept(values.clone(), outputs.clone()))
        return lambda: first[0]

    recorded = RecordedSweeps(frozen)
    drawn(network, 0, None, recorded)
    assert not equal(drawn(network, 1, None, recorded), drawn(network, 1, None, None))


def test_samples_after_a_fused_optimizer_step_are_those_of_the_new_weights() -> None:
    model = build(MadeSpec(width=16), build_space(SPINS), seed=1)
    assert isinstance(model, Autoregressive)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.5, fused=True)
    x, before = model.sample_and_log_prob(BATCH, RandomStream(0))
    torch.autograd.backward(model.log_prob(x).sum())
    optimizer.step()
    y, after = model.sample_and_log_prob(BATCH, RandomStream(0))
    assert not torch.equal(before, after)
    assert _largest(after - model.log_prob(y).detach()) < 1e-4


def _largest(difference: Tensor) -> float:
    return float(difference.abs().max())
