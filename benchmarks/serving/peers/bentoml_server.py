"""The module behind BentoML, with its adaptive batching: the requests of a batch are drawn in one call."""

import bentoml
import numpy as np
from pydantic import BaseModel

from benchmarks.serving.peers.sampler import Sampler


class Question(BaseModel):
    """A request."""

    n: int
    seed: int


@bentoml.service(workers=1, traffic={"timeout": 30}, metrics={"enabled": False}, logging={"access": {"enabled": False}})
class SampleService:
    """Requests of one size may share a call, which has the first one's seed."""

    def __init__(self) -> None:
        self.sampler = Sampler()

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000, route="/sample")  # type: ignore[untyped-decorator]
    def sample(self, questions: list[Question]) -> list[list[list[list[int]]]]:
        """Configurations as lists."""
        sizes = [question.n for question in questions]
        drawn = self.sampler.sample(sum(sizes), questions[0].seed)
        return [part.tolist() for part in np.split(drawn, np.cumsum(sizes)[:-1])]
