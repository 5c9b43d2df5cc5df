"""Arrays that are written again and again."""

import torch

from zoo.nn.scratch import scratch


def test_scratch_is_one_array_for_each_name_that_gradients_may_be_written_to() -> None:
    like = torch.zeros(1)
    with torch.inference_mode():
        first = scratch("one", (2, 3), like)
    assert scratch("one", (2, 3), like) is first
    assert scratch("two", (2, 3), like) is not first
    assert scratch("one", (3, 3), like).shape == (3, 3)
    assert scratch("one", (3, 3), like.double()).dtype == torch.float64
    torch.add(like.expand(2, 3), 1, out=first)
    assert first.sum() == 6
