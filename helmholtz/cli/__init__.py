"""The command line: ``helmholtz COMMAND``.

Exit codes: 0 success; 1 a job failed or the service did; 2 bad input, a refused request, or no service at the URL;
130 interrupted.
"""

from collections.abc import Sequence

from helmholtz.cli.application import command


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line with ``arguments`` (default: those of the process) and exit with its code."""
    command()(args=arguments, prog_name="helmholtz")
