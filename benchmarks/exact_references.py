"""Every exact reference beside an independent second route: values, difference and time.

    python -m benchmarks.exact_references [--output docs/results]

Route 1 is what the service answers.  Route 2 uses the target's energy function alone wherever that is possible: a sum
over all configurations, or a midpoint rule in all coordinates at once; so it shares no formula with route 1.  Where
that would take too many points it is another derivation, or a published number, named in the table.
"""

import argparse
import platform
import time
from dataclasses import dataclass
from itertools import product
from math import inf, log
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from benchmarks.reference_cases import CASES, Axis, Case
from zoo.catalog import TARGETS, build_target, tag_of
from zoo.core.spaces import DiscreteSpace
from zoo.core.targets import HasExactFreeEnergy, Target

THREADS = 2
ROWS_AT_ONCE = 2**18


@dataclass(frozen=True)
class Row:
    """One line of the table: beta_f by both routes, and seconds."""

    kind: str
    system: str
    method: str
    first: float
    first_seconds: float
    route: str
    second: float
    second_seconds: float


def measured(case: Case) -> Row:
    """Both routes of one case, timed."""
    spec = case.spec
    target, beta = build_target(spec), spec.state_beta
    if not isinstance(target, HasExactFreeEnergy):
        msg = f"{spec.kind} has no exact reference"
        raise TypeError(msg)
    start = time.perf_counter()
    reference = target.exact_reference(beta)
    between = time.perf_counter()
    second = case.closed_form(spec) if case.closed_form else -brute_force_log_z(target, beta, case.axes)
    end = time.perf_counter()
    system = ", ".join(f"{k} {_short(v)}" for k, v in case.system.items() if k != "kind")
    return Row(
        kind=spec.kind,
        system=system,
        method=reference.method,
        first=reference.beta_f,
        first_seconds=between - start,
        route=case.route,
        second=second,
        second_seconds=end - between,
    )


def brute_force_log_z(target: Target, beta: float, axes: tuple[Axis, ...]) -> float:
    """Ln of the sum of exp(-beta E) over all configurations, or of its integral by a product rule over ``axes``."""
    if isinstance(target.space, DiscreteSpace):
        return float(torch.logsumexp(-beta * target.energy(target.space.enumerate()), 0))
    rules = [_rule(axis) for axis in axes]
    inner = len(rules)
    while inner > 0 and np.prod([len(nodes) for nodes, _ in rules[inner - 1 :]]) <= ROWS_AT_ONCE:
        inner -= 1
    nodes = _grid([nodes for nodes, _ in rules[inner:]])
    log_weights = _grid([weights for _, weights in rules[inner:]]).sum(1)
    total = -inf
    for outer in product(*(zip(*rule, strict=True) for rule in rules[:inner])):
        fixed = torch.tensor([float(node) for node, _ in outer], dtype=torch.float64).expand(len(nodes), -1)
        x = torch.cat([fixed, nodes], 1).reshape(-1, *target.space.event_shape)
        offset = sum(float(weight) for _, weight in outer)
        block = float(torch.logsumexp(log_weights - beta * target.energy(x), 0)) + offset
        total = float(np.logaddexp(total, block))
    return total


def _rule(axis: Axis) -> tuple[Float64[Tensor, " node"], Float64[Tensor, " node"]]:
    """Nodes and logarithms of weights of the midpoint rule.

    It converges exponentially, round a circle as on a line at whose ends a smooth integrand has died away.
    """
    step = (axis.high - axis.low) / axis.points
    nodes = axis.low + step * (torch.arange(axis.points, dtype=torch.float64) + 0.5)
    return nodes, torch.full_like(nodes, log(step))


def _grid(axes: list[Float64[Tensor, " node"]]) -> Float64[Tensor, "point axis"]:
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes))


def markdown(rows: list[Row]) -> str:
    """The table with its settings."""
    lines = [
        "# Exact references by two routes",
        "",
        "Regenerate with `python -m benchmarks.exact_references`. Values are beta_f = -ln Z at the state's beta; "
        "route 1 is what `POST /v1/targets:reference` answers. Nothing here is random.",
        "",
        f"threads {torch.get_num_threads()}, torch {torch.__version__}, numpy {np.__version__}, {platform.machine()}.",
        "",
        "| kind | system | route 1 | beta_f | s | route 2 | beta_f | s | difference |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{r.kind}` | {r.system} | {r.method} | {r.first:.13g} | {r.first_seconds:.3f} "
        f"| {r.route} | {r.second:.13g} | {r.second_seconds:.3f} | {r.first - r.second:.1e} |"
        for r in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure every case, print the table and write it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("docs/results"))
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    missing = {tag_of(spec) for spec in TARGETS} - {case.spec.kind for case in CASES}
    rows = []
    for case in CASES:
        rows.append(measured(case))
        r = rows[-1]
        print(f"{r.kind:22} {r.first:22.13f} {r.second:22.13f} {r.first - r.second:9.1e}  {r.system}", flush=True)
    text = markdown(rows) + "\n" + "".join(f"`{kind}` has no exact reference.\n" for kind in sorted(missing))
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "exact_references.md").write_text(text)
    agreed = [abs(r.first - r.second) <= case.tolerance for r, case in zip(rows, CASES, strict=True)]
    if not all(agreed):  # NaN agrees with nothing
        raise SystemExit("two routes differ by more than the case allows")


def _short(value: object) -> str:
    text = str(value).replace("'", "").replace("{", "").replace("}", "")
    return text if len(text) <= 40 else text[:37] + "..."


if __name__ == "__main__":
    main()
