"""Sweeps over all sites: run operation by operation, or on a GPU recorded once and launched as one graph."""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, final

import torch
from jaxtyping import Float, Num
from torch import Tensor

from zoo.models.site_network import SiteNetwork, weights_key
from zoo.models.site_values import Draws

MAX_RECORDINGS = 8
"""Graphs that a network keeps: one for each batch size and number of rows of conditions."""

_WARM_UPS = 2  # runs before a recording, in which libraries choose their kernels and take their memory


class Swept(NamedTuple):
    """What a sweep leaves: the values, and the parameters that they were drawn with."""

    values: Num[Tensor, "batch site"]
    outputs: Float[Tensor, "site parameter batch"]


Run = Callable[[], Swept]
Conditions = Float[Tensor, "row condition"] | None


def swept(network: SiteNetwork, draws: Draws, num_samples: int, conditions: Conditions) -> Swept:
    """The values of all sites, drawn in order, each site from what the network makes of those before it."""
    sweep = network.sweep(num_samples, network.features(conditions))
    for site in range(network.space.num_sites):
        sweep.advance(site)
        draws.draw(site, sweep.outputs[site], sweep.inputs[site])
    return Swept(draws.configurations(), sweep.outputs)


def cuda_graph(run: Run) -> Run:
    """What launches the operations of ``run`` as one graph, on the memory that they used when they were recorded."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = run()

    def replay() -> Swept:
        graph.replay()
        return result

    return replay


class _Recording(NamedTuple):
    replay: Run
    numbers: tuple[Tensor, ...]
    conditions: Conditions


@final
class RecordedSweeps:
    """The recorded sweeps of one network, the least recently used dropped first.

    A recording reads its random numbers and conditions from memory of its own, which is written before each launch; its
    result is overwritten by the next launch.
    """

    def __init__(self, record: Callable[[Run], Run] = cuda_graph) -> None:
        self._record = record
        self._recordings: OrderedDict[tuple[object, ...], _Recording] = OrderedDict()

    def swept(self, network: SiteNetwork, draws: Draws, num_samples: int, conditions: Conditions) -> Swept:
        """What ``swept`` gives for these draws."""
        rows = 0 if conditions is None else len(conditions)
        key = (num_samples, rows, weights_key(network))
        new = tuple(number.clone() for number in draws.numbers())
        if key not in self._recordings:
            own = None if conditions is None else conditions.clone()
            replay = self._record(lambda: swept(network, draws, num_samples, own))
            self._recordings[key] = _Recording(replay, draws.numbers(), own)
        self._recordings.move_to_end(key)
        while len(self._recordings) > MAX_RECORDINGS:
            self._recordings.popitem(last=False)
        recording = self._recordings[key]
        for memory, number in zip(recording.numbers, new, strict=True):
            memory.copy_(number)
        if recording.conditions is not None and conditions is not None:
            recording.conditions.copy_(conditions)
        return recording.replay()
