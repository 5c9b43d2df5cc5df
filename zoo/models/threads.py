"""How many threads share one tensor operation."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def single_threaded() -> Iterator[None]:
    """Nothing; inside, CPU operations of the calling thread are not cut up among threads.

    For long sequences of operations of some 10 microseconds, whose threads would spend more time meeting than working
    (on a machine with other work, a hundred times more).  The result then depends on no thread count either.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
