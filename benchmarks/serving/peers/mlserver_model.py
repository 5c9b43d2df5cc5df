"""The module behind MLServer, with its adaptive batching: the requests of a batch are drawn in one call."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.serving.peers.sampler import Sampler


class SampleModel(MLModel):  # type: ignore[misc]  # untyped
    """Requests of one size may share a call, which has the first one's seed."""

    async def load(self) -> bool:
        """Load the module."""
        self.sampler = Sampler()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Configurations, shape (requests, n, ...)."""
        given = {one.name: NumpyCodec.decode_input(one).reshape(-1) for one in payload.inputs}
        sizes = given["n"]
        drawn = self.sampler.sample(int(sizes.sum()), int(given["seed"][0]))
        shaped = drawn.reshape(len(sizes), int(sizes[0]), *drawn.shape[1:])
        outputs = [NumpyCodec.encode_output("samples", shaped)]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)
