"""What torch.compile does to a flow: time of compiling, and of steps and samples with it and without.

    python -m benchmarks.flow_compile [--threads 2] [--output docs/results]

Dimension 64, 8 couplings, two hidden layers of 64, batches of 4,096 and 256.  A step is one evaluation of the reverse
Kullback-Leibler divergence to a normal distribution with its gradient; samples are the same without a gradient.  The
first of two medians of 20 passes each is thrown away.  Prints the table and writes it down.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
import torch._inductor.config
from torch import Tensor

from benchmarks.settings import machine
from zoo.catalog import build_model
from zoo.core.spaces import build_space
from zoo.models.flow import Flow
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.realnvp import RealNvpSpec
from zoo.specs.models.spline_flow import SplineFlowSpec
from zoo.specs.spaces import SpaceSpec
from zoo.training.trainer import flush_denormals

DIMENSION, PASSES = 64, 20
FLOWS: dict[str, ModelSpec] = {
    "affine": RealNvpSpec(couplings=8, width=64, depth=2),
    "spline": SplineFlowSpec(couplings=8, width=64, depth=2),
}
Loss = Callable[[Tensor], Tensor]

_SPACE = SpaceSpec(kind="reals", event_shape=(DIMENSION,))


def main() -> None:
    """Measure all flows and batches, print the table and write it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "docs" / "results")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    flush_denormals()
    torch._inductor.config.force_disable_caches = True  # nothing that was compiled before
    rows = [row(name, spec, batch) for name, spec in FLOWS.items() for batch in (4096, 256)]
    report = "\n".join(
        [
            "# Flows with torch.compile",
            "",
            f"Regenerate with `make bench NAME=flow_compile`. Dimension {DIMENSION}, 8 couplings, two hidden layers of "
            f"64, silu; medians of {PASSES} passes in milliseconds, and seconds of compiling, which every shape of a "
            "batch asks for anew.",
            "",
            "| couplings | batch | step | compiled | seconds to compile | samples | compiled | seconds to compile |",
            "|---|---|---|---|---|---|---|---|",
            *rows,
            "",
            machine() + ".",
            "",
        ]
    )
    print(report)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "flow_compile.md").write_text(report)


def row(name: str, spec: ModelSpec, batch: int) -> str:
    """One line of the table."""
    loss, z = loss_of(spec), torch.randn(batch, DIMENSION, generator=torch.Generator().manual_seed(1))
    plain = [milliseconds(loss, z, learns=learns) for learns in (True, False)]
    torch._dynamo.reset()
    compiled: Loss = torch.compile(loss)
    found = [(seconds_to_compile(compiled, z, learns=g), milliseconds(compiled, z, learns=g)) for g in (True, False)]
    cells = [f"{eager:.1f} | {fast:.1f} | {wait:.0f}" for eager, (wait, fast) in zip(plain, found, strict=True)]
    return f"| {name} | {batch:,} | " + " | ".join(cells) + " |"


def loss_of(spec: ModelSpec) -> Loss:
    """The reverse divergence of a flow to a normal distribution, up to a constant, of latents z."""
    bijection = cast("Flow", build_model(spec, build_space(_SPACE), 1)).network.bijection

    def loss(z: Tensor) -> Tensor:
        x, log_det = bijection.forward_and_log_det(z)
        return (x.square().sum(1).double() / 2 - log_det).mean()

    return loss


def once(loss: Loss, z: Tensor, *, learns: bool) -> float:
    """Seconds of one pass, with the gradient or without."""
    started = time.perf_counter()
    with torch.set_grad_enabled(learns):
        value = loss(z)
        if learns:
            value.backward()  # type: ignore[no-untyped-call]
    return time.perf_counter() - started


def seconds_to_compile(loss: Loss, z: Tensor, *, learns: bool) -> float:
    """Seconds of the first pass."""
    return once(loss, z, learns=learns)


def milliseconds(loss: Loss, z: Tensor, *, learns: bool) -> float:
    """The median pass, once everything is warm."""
    medians = [statistics.median(once(loss, z, learns=learns) for _ in range(PASSES)) for _ in range(2)]
    return 1e3 * medians[1]


if __name__ == "__main__":
    main()
