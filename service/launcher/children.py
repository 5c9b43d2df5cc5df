"""Child processes of a stack: started in groups of their own, restarted when they die, stopped in order."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from workers.process_group import die_with_parent, signal_group

log = structlog.get_logger()

_BACKOFF_SECONDS = (0.0, 0.5, 1.0, 2.0, 5.0)
_STEADY_SECONDS = 30.0


@dataclass
class Child:
    """One process: how it is started, where it logs, and how often it has died of late."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log_file: Path
    process: subprocess.Popen[bytes] | None = None
    _started_at: float = 0.0
    _deaths: int = 0
    _restart_at: float = field(default=0.0)

    def start(self) -> None:
        """Start the process; it dies with us, however we end."""
        with self.log_file.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 - our own commands
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - the launcher has one thread
            )
        self._started_at = time.monotonic()

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self.process is not None and self.process.poll() is None

    def keep_alive(self) -> None:
        """Restart a dead process: at once the first time, with a growing pause when it keeps dying."""
        if self.running:
            return
        moment = time.monotonic()
        if self.process is not None:
            steady = moment - self._started_at > _STEADY_SECONDS
            self._deaths = 1 if steady else self._deaths + 1
            pause = _BACKOFF_SECONDS[min(self._deaths, len(_BACKOFF_SECONDS)) - 1]
            log.warning("process died", name=self.name, exit_code=self.process.returncode, restart_in=pause)
            self._kill_group()
            self._restart_at = moment + pause
            self.process = None
        if moment >= self._restart_at:
            self.start()

    def ask_to_stop(self) -> None:
        """Tell the process to finish what it has begun and end."""
        if self.process is not None and self.running:
            self.process.send_signal(signal.SIGTERM)

    def await_end(self, grace_seconds: float) -> None:
        """Return when the process has ended; its whole group is ended when the grace is over."""
        if self.process is None:
            return
        try:
            self.process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            log.warning("process did not end in time", name=self.name)
        self._kill_group()
        self.process.wait()

    def last_words(self, lines: int = 5) -> str:
        """The end of the process's log."""
        if not self.log_file.exists():
            return ""
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])

    def _kill_group(self) -> None:
        if self.process is not None:
            signal_group(self.process.pid, signal.SIGKILL)


def child_environment(extra: dict[str, str]) -> dict[str, str]:
    """Our environment with ``extra``; idle OpenMP threads sleep, because processes share the cores."""
    inherited = dict(os.environ)  # noqa: TID251 - passed on, not read
    return inherited | {"OMP_WAIT_POLICY": "passive", "PYTHONUNBUFFERED": "1"} | extra
