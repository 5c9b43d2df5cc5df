"""``helmholtz data``: datasets to learn from."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from helmholtz.cli import display
from helmholtz.cli.inputs import check_output, document, override, write_arrays
from helmholtz.cli.jobs import follow
from helmholtz.cli.session import Session, session
from helmholtz.cli.zoo import TargetOption
from helmholtz.results import Dataset

app = typer.Typer(help="Datasets: upload, built in, generate, download.", no_args_is_help=True)

DatasetId = Annotated[str, typer.Argument(metavar="DATASET", help="Id of the dataset")]
Name = Annotated[str | None, typer.Option(help="Name of the dataset; need not be unique")]


@app.command("list")
def list_datasets(context: typer.Context, limit: Annotated[int, typer.Option(min=1)] = 20) -> None:
    """The latest datasets."""
    with session(context) as s:
        found = s.client.datasets(limit)
        s.answer({"datasets": [d.model_dump(mode="json") for d in found]}, _table(found))


@app.command("show")
def show(context: typer.Context, dataset: DatasetId) -> None:
    """One dataset: space, number of configurations, where they come from."""
    with session(context) as s:
        _answer(s, s.client.dataset(dataset))


@app.command("upload")
def upload(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="npy file of shape (n, *event_shape), or npz with samples and labels")],
    space: Annotated[
        str,
        typer.Option(
            help='spins, bits, categorical, reals, torus, spheres, particles, or JSON: {"kind": ..., "box": ...}'
        ),
    ],
    name: Name = None,
) -> None:
    """Keep the configurations in a file; every value must be in the space."""
    with session(context) as s:
        asked = document(space, "--space") if space.startswith(("{", "@")) else space
        _answer(s, s.client.upload_dataset(file, asked, name))


@app.command("builtin")
def builtin(
    context: typer.Context,
    builtin: Annotated[str, typer.Argument(metavar="BUILTIN", help="digits, bars_and_stripes or bitstrings")],
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="OPTION=VALUE, such as shape=4,4 or n=1000; repeatable")
    ] = None,
    name: Name = None,
) -> None:
    """Keep the configurations of a builtin: helmholtz data builtin bars_and_stripes --set shape=4,4 --set n=1000."""
    with session(context) as s:
        options: dict[str, Any] = {}
        for assignment in assignments or ():
            options = override(options, assignment)
        _answer(s, s.client.builtin_dataset(builtin, name, **options))


@app.command("generate")
def generate(
    context: typer.Context,
    target: TargetOption,
    n: Annotated[int, typer.Option("-n", help="Number of configurations")],
    sampler: Annotated[
        str | None, typer.Option(help='A kind, as metropolis, or JSON, as {"kind": "hmc", ...} [default: what suits]')
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same configurations")] = 0,
    name: Name = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", help="PATH=VALUE, such as target.shape=8,8 or sampler.burn_in=500; repeatable"),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Print the job and return at once")] = False,  # noqa: FBT002
) -> None:
    """Draw configurations of a target by Monte Carlo, watching the job; Ctrl-C stops watching, not the job.

    helmholtz data generate --target ising --set target.shape=8,8 -n 1000 --sampler metropolis
    """
    with session(context) as s:
        spec: dict[str, Any] = {"target": document(target, "--target", "kind")}
        if sampler is not None:
            spec["sampler"] = document(sampler, "--sampler", "kind")
        for assignment in assignments or ():
            spec = override(spec, assignment)
        job = s.client.generate_dataset(spec["target"], n, spec.get("sampler"), seed, name=name)
        if detach:
            s.answer(job.model_dump(mode="json"), display.job_facts(job))
        else:
            follow(s, job)


@app.command("download")
def download(
    context: typer.Context,
    dataset: DatasetId,
    out: Annotated[Path, typer.Option(help="File to write: .npy, or .npz with the labels")],
) -> None:
    """Write the configurations of a dataset to a file."""
    with session(context) as s:
        check_output(out, 1)
        data = s.client.dataset_samples(dataset)
        write_arrays(out, {"samples": data.samples, "labels": data.labels})
        fields = {"out": str(out), "shape": list(data.samples.shape), "dtype": str(data.samples.dtype)}
        s.answer(fields | {"labels": data.labels is not None}, display.facts(fields))


@app.command("delete")
def delete(context: typer.Context, dataset: DatasetId) -> None:
    """Delete a dataset; refused while a job needs it."""
    with session(context) as s:
        s.client.delete_dataset(dataset)
        s.answer({"deleted": dataset}, f"dataset {dataset} is deleted")


def _answer(s: Session, dataset: Dataset) -> None:
    fields = dataset.model_dump(mode="json")
    s.answer(fields, display.facts({name.replace("_", " "): value for name, value in fields.items()}))


def _table(datasets: Iterable[Dataset]) -> Table | Text:
    columns = ("dataset", "name", "samples", "space", "shape", "from", "created")
    rows = (
        (d.id, d.name, d.num_samples, d.space.get("kind"), list(d.event_shape), d.source.get("kind"), d.created_at)
        for d in datasets
    )
    return display.table(columns, rows, "no datasets; `helmholtz data builtin digits` makes one")
