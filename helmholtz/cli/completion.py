"""``helmholtz complete``: the missing part of partly known configurations."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from helmholtz.cli import display
from helmholtz.cli.inference import ModelName, Ref, Seed
from helmholtz.cli.inputs import check_output, override, read_samples, write_arrays
from helmholtz.cli.session import session
from helmholtz.completion import CompletionResult


def complete(
    context: typer.Context,
    model: ModelName,
    file: Annotated[
        Path, typer.Argument(help="npz file with 'samples', (m, *event_shape), and 'mask', true where known")
    ],
    n: Annotated[int, typer.Option("-n", help="Completions of each configuration")] = 1,
    seed: Seed = None,
    ref: Ref = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="proposals=5000 or condition.label=3; repeatable")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write: .npy of shape (m, n, *event_shape)")] = None,
) -> None:
    """Draw the missing part of configurations given the known one."""
    with session(context) as s:
        check_output(out, 1)
        wishes: dict[str, Any] = {}
        for assignment in settings or ():
            wishes = override(wishes, assignment)
        known, mask = read_samples(file), read_samples(file, "mask")
        result = s.client.complete(model, known, mask, n, seed, ref, **wishes)
        fields = result.model_dump(mode="json", exclude={"samples"} if out else None)
        if out is not None:
            write_arrays(out, {"samples": result.samples})
            fields |= {"out": str(out), "shape": list(result.samples.shape), "dtype": str(result.samples.dtype)}
        s.answer(fields, _facts(result, None if out is None else str(out)))


def _facts(result: CompletionResult, written: str | None) -> Table:
    found = result.diagnostics
    effective = found.get("effective_sample_size")
    return display.facts(
        {
            "model": f"{result.model} version {result.version}",
            "samples": f"{result.samples.dtype} {result.samples.shape}",
            "seed": result.seed,
            "exact": "yes" if result.exact else "no",
            "mean ln q of the known part": float(result.log_marginal.mean()),
            "proposals": found.get("num_proposals"),
            "lowest effective number of them": min(effective) if effective else None,
            "reliable": "yes" if result.reliable else "NO",
            "warnings": "\n".join(found.get("warnings") or ()),
            "written to": written or "nowhere (--out completed.npy writes them, --json prints them)",
        }
    )
