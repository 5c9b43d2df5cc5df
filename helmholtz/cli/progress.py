"""A training as it happens: one live line on a terminal, a line for each tenth elsewhere."""

from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from helmholtz.events import Event


class TrainingProgress:
    """Shows the events of one job on ``console``: give it to ``Client.wait`` as ``on_event``.

    The gap is the variational beta_f minus the exact one, per site; it is shown when the exact one is known and the
    annealing of beta is over (``target_beta`` is where it ends).
    """

    def __init__(self, console: Console, label: str, target_beta: float | None = None) -> None:
        self._console = console
        self._label = label
        self._target_beta = target_beta
        self._metrics: dict[str, Any] = {}
        self._progress: dict[str, Any] = {}
        self._eta = ""
        self._tenth = 0
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:.0f}/{task.fields[goal]}"),
            TextColumn("{task.fields[numbers]}"),
            TextColumn("{task.fields[eta]}"),
            console=console,
            disable=not console.is_terminal,
            expand=True,
        )
        self._task = self._bar.add_task(f"{label} queued", total=None, goal="?", numbers="", eta="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, event: Event) -> None:
        """Show ``event``."""
        if event.kind == "metric":
            self._metrics |= event.data
            self._bar.update(self._task, numbers=self.numbers())
            self._report()
        elif event.kind == "progress":
            self._advance(event.data)
            self._report()
        elif event.kind == "state":
            word = str(event.data.get("state"))
            self._bar.update(self._task, description=f"{self._label} {word}")
            self._say(word)

    def numbers(self) -> str:
        """Loss, gap to the exact answer, held-out likelihood, effective sample fraction, rate: what is known."""
        latest = self._metrics
        parts = [f"loss {latest['loss']:.4f}"] if latest.get("loss") is not None else []
        gap = self._gap_per_site()
        if gap is not None:
            parts.append(f"gap/site {gap:.1e}")
        if latest.get("held_out_nll") is not None:
            parts.append(f"held-out NLL {latest['held_out_nll']:.4f}")
        if latest.get("effective_sample_fraction") is not None:
            parts.append(f"ESS {latest['effective_sample_fraction']:.3f}")
        if latest.get("samples_per_second") is not None:
            parts.append(f"{latest['samples_per_second']:.3g} samples/s")
        return "  ".join(parts)

    def _gap_per_site(self) -> float | None:
        found, exact, sites = (self._metrics.get(k) for k in ("variational_beta_f", "exact_beta_f", "num_sites"))
        if found is None or exact is None or not sites or self._annealing():
            return None
        return float((found - exact) / sites)

    def _annealing(self) -> bool:
        beta = self._metrics.get("beta")
        return beta is not None and self._target_beta is not None and beta < self._target_beta * (1 - 1e-9)

    def _advance(self, progress: dict[str, Any]) -> None:
        if progress.get("step") is None and progress.get("fraction") is not None:  # a job that counts no steps
            progress = progress | {"step": round(100 * progress["fraction"]), "max_steps": 100}
        self._progress = progress
        left, goal = progress.get("eta_seconds"), progress.get("max_steps")
        self._eta = "" if left is None else f"{left:.0f} s left"
        completed = int(progress.get("step") or 0)
        self._bar.update(self._task, completed=completed, total=goal, goal=goal or "?", eta=self._eta)

    def _report(self) -> None:
        """One line for each tenth of the way, once the numbers of that step are there."""
        step, goal = self._progress.get("step"), self._progress.get("max_steps")
        tenth = int(10 * (self._progress.get("fraction") or 0))
        stage = self._progress.get("stage")
        if tenth > self._tenth and (stage is not None or self._metrics.get("step") == step):
            self._tenth = tenth
            done = f"{step} %, {stage}" if stage is not None else f"step {step}/{goal or '?'}"
            self._say(f"{done}  {self.numbers()}  {self._eta}")

    def _say(self, text: str) -> None:
        if not self._console.is_terminal:
            self._console.print(f"{self._label} {text.rstrip()}")
