"""Rows of one question that come in several messages."""

import numpy as np
from numpy.typing import NDArray

from service.rpc.tensors import from_tensor, mask_from_tensor, refused
from service.rpc.v1 import inference_pb2 as pb
from workers.settings import PREFIX, Settings
from zoo.specs.errors import FieldError, LimitExceededError
from zoo.specs.masks import Mask

_ROWS = ("samples", "mask")


class _Rows:
    """The rows of one array, copied together: a million small messages take no more memory than a large one."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._data = bytearray()
        self._first: NDArray[np.generic] | None = None
        self.length = 0

    def add(self, array: NDArray[np.generic]) -> None:
        """Append rows.

        Raises:
            InvalidValueError: no row, or rows unlike those before.
        """
        if array.ndim == 0 or len(array) == 0:
            raise refused(
                f"{self._name}.shape", f"shape {list(array.shape)} has no row; each message brings at least 1"
            )
        if self._first is None:
            self._first = array[:1].copy()
        first = self._first
        if array.dtype != first.dtype or array.shape[1:] != first.shape[1:]:
            message = (
                f"rows of shape {list(array.shape[1:])} and type {array.dtype} came after rows of shape "
                f"{list(first.shape[1:])} and type {first.dtype}; all are rows of one array"
            )
            raise refused(f"{self._name}.shape", message)
        self._data += array.tobytes()
        self.length += len(array)

    def array(self) -> NDArray[np.generic] | None:
        """All rows; None when there are none."""
        if self._first is None:
            return None
        return np.frombuffer(self._data, self._first.dtype).reshape(self.length, *self._first.shape[1:])


class GatheredQuestion:
    """The first message, which says what is asked, and the rows of all."""

    def __init__(self, settings: Settings) -> None:
        self._most = settings.max_sample_values
        self._values = 0
        self._samples, self._masks = _Rows("samples"), _Rows("mask")
        self._one_mask: Mask | None = None
        self._asked: pb.LogLikelihoodRequest | None = None

    def add(self, request: pb.LogLikelihoodRequest) -> None:
        """Take the rows of one message.

        Raises:
            InvalidValueError: something that only the first message may have; or rows that do not fit to the others.
            LimitExceededError: more numbers in all than one question may have.
        """
        stray = [field.name for field, _ in request.ListFields() if field.name not in _ROWS]
        if self._asked is not None and stray:
            raise refused(
                stray[0], "only the first message says what is asked; the others bring samples and mask alone"
            )
        samples = from_tensor(request.samples)
        self._values += samples.size
        if self._values > self._most:
            msg = (
                f"{self._values} numbers came and more may follow; at most {self._most} are allowed in one question "
                f"(setting {PREFIX}MAX_SAMPLE_VALUES)"
            )
            raise LimitExceededError(f"samples: {msg}", errors=(FieldError("samples", msg, f"at most {self._most}"),))
        if request.HasField("mask"):
            self._add_mask(mask_from_tensor(request.mask), samples)
        elif self._masks.length:
            raise refused("mask", "some messages have one and this has none; send one with all rows, or with none")
        self._samples.add(samples)
        if self._asked is None:
            for name in _ROWS:
                request.ClearField(name)
            self._asked = request

    def _add_mask(self, mask: Mask, samples: NDArray[np.generic]) -> None:
        is_first = self._asked is None
        if is_first and mask.ndim == samples.ndim - 1:
            self._one_mask = mask
            return
        if not is_first and not self._masks.length:
            raise refused("mask", "the first message has none for its rows; send one with all rows, or with none")
        if mask.shape != samples.shape:
            raise refused("mask.shape", f"shape {list(mask.shape)} came for samples of shape {list(samples.shape)}")
        self._masks.add(mask)

    @property
    def asked(self) -> pb.LogLikelihoodRequest:
        """What the first message says, without its rows.

        Raises:
            InvalidValueError: no message came.
        """
        if self._asked is None:
            raise refused("samples", "no message came; the first one names the model and brings rows")
        return self._asked

    @property
    def samples(self) -> NDArray[np.generic]:
        """All rows.

        Raises:
            InvalidValueError: no message came.
        """
        if (array := self._samples.array()) is None:
            raise refused("samples", "no message came; the first one names the model and brings rows")
        return array

    @property
    def mask(self) -> Mask | None:
        """The mask of all rows, or that of one configuration; None when there is none."""
        rows = self._masks.array()
        return self._one_mask if rows is None else rows.view(np.bool_)
