"""The module behind LitServe, with its batching: the requests of a batch are drawn in one call."""

import sys
from typing import Any

import litserve
import numpy as np

from benchmarks.serving.peers.sampler import Sampler


class SampleApi(litserve.LitAPI):  # type: ignore[misc]  # untyped
    """Requests of one size may share a call, which has the first one's seed."""

    def setup(self, device: str) -> None:
        """Load the module."""
        self.sampler = Sampler()

    def decode_request(self, request: dict[str, int]) -> tuple[int, int]:
        """The number of configurations, and the seed."""
        return request["n"], request["seed"]

    def batch(self, inputs: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """The requests as they are."""
        return inputs

    def predict(self, x: list[tuple[int, int]]) -> list[np.ndarray[Any, Any]]:
        """Configurations of all, cut into those of each."""
        sizes = [n for n, _ in x]
        drawn = self.sampler.sample(sum(sizes), x[0][1])
        return np.split(drawn, np.cumsum(sizes)[:-1])

    def unbatch(self, output: list[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        """One answer each."""
        return output

    def encode_response(self, output: np.ndarray[Any, Any]) -> dict[str, Any]:
        """Configurations as lists."""
        return {"samples": output.tolist()}


if __name__ == "__main__":
    api = SampleApi(max_batch_size=64, batch_timeout=0.002, api_path="/sample")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
