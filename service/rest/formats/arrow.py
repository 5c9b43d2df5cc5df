"""Arrow IPC streams: one row for each configuration, one column for each array; in untrusted bytes, and as such bytes.

Configurations are of the extension type ``arrow.fixed_shape_tensor``; fixed-size lists, one inside the other for each
axis, are read too.  https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format

Importing this module loads pyarrow, 30 MB of memory: it is imported on first use.
"""

import struct
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa

from service.rest.formats.checks import check_count, no_number, unknown_name
from service.rest.formats.parted import Array, Buffer, PartedArray
from workers.settings import Settings
from zoo.specs.errors import HelmholtzError, InvalidValueError, MalformedError

_BATCH_BYTES = 2**20  # of the rows of one record batch that is written
_MAX_MESSAGES = 2**16
_END = b"\xff\xff\xff\xff\0\0\0\0"  # of a stream: a message of no bytes
_HEADER, _COMPRESSION = 2, 3  # the places of these fields in the flatbuffers tables Message and RecordBatch
_ARROW_FAULTS = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, NotImplementedError, struct.error)


def read(data: bytes, known: frozenset[str], settings: Settings) -> dict[str, Array]:
    """The columns of an Arrow IPC stream, whose names are among ``known``, each as an array of shape (rows, *axes).

    Raises:
        MalformedError: not an Arrow stream, one that is broken or compressed, or bytes after its end.
        InvalidValueError: a column that is not ``known``, comes twice, is not of numbers, or has nulls.
        LimitExceededError: a column of more numbers than are read here.
    """
    try:
        _check_messages(data)
        source = pa.BufferReader(data)
        with pa.ipc.open_stream(source, memory_pool=pa.system_memory_pool()) as reader:
            shapes = _shapes(reader.schema, known)
            batches = list(reader)
        if source.tell() < len(data):
            raise _broken("bytes follow its end")
        for batch in batches:
            batch.validate(full=True)
        rows = sum(batch.num_rows for batch in batches)
        for name, shape in shapes.items():
            check_count(rows * prod(shape), f"column {name!r} of the Arrow stream", settings)
        return {name: _array([batch.column(name) for batch in batches], shape) for name, shape in shapes.items()}
    except HelmholtzError:
        raise
    except _ARROW_FAULTS as error:
        raise _broken(str(error).partition("\n")[0][:200] or type(error).__name__) from None


def write(arrays: Mapping[str, PartedArray], metadata: Mapping[str, str]) -> list[Buffer]:
    """The arrays, all with as many rows, as an Arrow IPC stream of record batches of about a MiB."""
    schema = pa.schema([pa.field(name, _column_type(array)) for name, array in arrays.items()], dict(metadata))
    num_rows = max(array.shape[0] for array in arrays.values())
    row_bytes = sum(array.nbytes for array in arrays.values()) // max(1, num_rows)
    step = max(1, _BATCH_BYTES // max(1, row_bytes))
    pool = pa.system_memory_pool()  # the default one keeps what it once had
    messages = [schema.serialize(pool)]
    for start in range(0, num_rows, step):
        rows = {name: array.rows(start, start + step) for name, array in arrays.items()}
        columns = [_column(part, schema.field(name).type) for name, part in rows.items()]
        messages.append(pa.record_batch(columns, schema=schema).serialize(pool))
    return [*(memoryview(message).cast("B") for message in messages), _END]


def _column_type(array: PartedArray) -> Any:  # noqa: ANN401 - pyarrow has no types
    values = pa.from_numpy_dtype(array.dtype)
    return values if len(array.shape) == 1 else pa.fixed_shape_tensor(values, array.shape[1:])


def _column(rows: Array, kind: Any) -> Any:  # noqa: ANN401 - as above
    values = pa.array(np.ascontiguousarray(rows).reshape(-1))
    if rows.ndim == 1:
        return values
    lists = pa.FixedSizeListArray.from_arrays(values, prod(rows.shape[1:]))
    return pa.ExtensionArray.from_storage(kind, lists)


def _check_messages(data: bytes) -> None:
    """Before a reader makes arrays of them: few messages, and none that claims to be larger when it is inflated.

    Raises:
        MalformedError: a compressed message, or too many.
    """
    for index, message in enumerate(_messages(data)):
        if index >= _MAX_MESSAGES:
            raise _broken(f"it has more than {_MAX_MESSAGES} messages; write larger record batches")
        if message.type == "record batch" and _is_compressed(memoryview(message.metadata).cast("B")):
            raise _broken("its record batches are compressed; send them as they are, or with a Content-Encoding")


def _messages(data: bytes) -> Iterator[Any]:
    # a reader at its end raises StopIteration from any call but its own iteration
    yield from pa.ipc.MessageReader.open_stream(pa.BufferReader(data))


def _is_compressed(message: memoryview) -> bool:
    """Whether a message, a flatbuffers table that the reader has verified, has a record batch with a compression.

    https://github.com/apache/arrow/blob/main/format/Message.fbs
    """
    place = _field(message, _number("<I", message, 0), _HEADER)
    if place is None:
        return False
    return _field(message, place + _number("<I", message, place), _COMPRESSION) is not None


def _field(message: memoryview, table: int, index: int) -> int | None:
    """Where a field of a flatbuffers table lies, None where it is left out."""
    fields = table - _number("<i", message, table)
    slot = 4 + 2 * index
    offset = _number("<H", message, fields + slot) if slot < _number("<H", message, fields) else 0
    return table + offset if offset else None


def _number(code: str, message: memoryview, at: int) -> int:
    if at < 0:
        msg = "an offset leads out of the message"
        raise ValueError(msg)
    return int(struct.unpack_from(code, message, at)[0])


def _shapes(schema: Any, known: frozenset[str]) -> dict[str, tuple[int, ...]]:  # noqa: ANN401 - as above
    """The shape of one row of each column."""
    for name in schema.names:
        if name not in known:
            raise unknown_name("the Arrow stream has a column", name, known)
    if len(set(schema.names)) < len(schema.names):
        msg = "a column comes twice in the Arrow stream; each has a name of its own"
        raise InvalidValueError(msg)
    return {field.name: _shape(field.name, field.type) for field in schema}


def _shape(name: str, kind: Any) -> tuple[int, ...]:  # noqa: ANN401 - as above
    shape: tuple[int, ...] = ()
    values = kind
    if isinstance(kind, pa.FixedShapeTensorType):
        if kind.permutation is not None and list(kind.permutation) != list(range(len(kind.shape))):
            msg = f"column {name!r} has permuted axes; send its tensors row-major"
            raise InvalidValueError(msg)
        shape, values = tuple(kind.shape), kind.value_type
    while pa.types.is_fixed_size_list(values):
        shape, values = (*shape, values.list_size), values.value_type
    if not (pa.types.is_integer(values) or pa.types.is_floating(values) or pa.types.is_boolean(values)):
        raise no_number(f"column {name!r} of the Arrow stream", str(kind))
    return shape


def _array(columns: list[Any], shape: tuple[int, ...]) -> Array:
    parts = [_flat(column).reshape(len(column), *shape) for column in columns]
    if not parts:
        msg = "the Arrow stream has no record batch; one row for each configuration was expected"
        raise InvalidValueError(msg)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _flat(column: Any) -> Array:  # noqa: ANN401 - as above
    """The numbers of a column one after the other; a view of the stream's bytes where numpy has their type."""
    values = column.storage if isinstance(column, pa.ExtensionArray) else column
    while pa.types.is_fixed_size_list(values.type) and not values.null_count:
        values = values.flatten()
    if values.null_count:
        msg = "the Arrow stream has nulls; every value of a configuration was expected"
        raise InvalidValueError(msg)
    flat: Array = values.to_numpy(zero_copy_only=False)
    return flat


def _broken(why: str) -> MalformedError:
    return MalformedError(f"the body is not an Arrow IPC stream: {why}; write it with pyarrow.ipc.new_stream")
