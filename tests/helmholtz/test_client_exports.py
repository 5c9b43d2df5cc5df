"""What ``import helmholtz`` offers, and what it costs."""

import subprocess
import sys

import helmholtz

EXPORTED = """
AnsweredAsJobError ApiError Client CompletionResult ConflictError Dataset DatasetSamples EnergyResult Event
FreeEnergyCurveResult FreeEnergyResult HelmholtzError InvalidArgumentError InvalidValueError Job JobCancelledError
JobFailedError LabelledLogLikelihoodResult LogLikelihoodResult NotFoundError Point Reference RetryPolicy SampleResult
ServiceUnreachableError StoredCurve UnavailableError UnexpectedAnswerError Version WaitTimeoutError
"""

CALLS = """
alias_history aliases builtin_dataset cancel classify close complete dataset dataset_samples datasets delete_dataset
download draw energy events free_energy free_energy_curve generate_dataset healthy info job jobs log_likelihood logs
marginal_log_likelihood metrics model models ready reference result retry rollback sample set_alias stored_curve submit
sweep train upload_dataset url version versions wait zoo_model zoo_models zoo_target zoo_targets
"""

FOREIGN = ("torch", "zoo", "service", "workers", "models_registry", "celery", "fastapi", "sqlalchemy")


def loaded_after(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after ``statement``."""
    program = f"{statement}; import sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)  # noqa: S603
    return set(done.stdout.split())


def test_the_exported_names_are_these() -> None:
    assert sorted(helmholtz.__all__) == sorted(EXPORTED.split())
    assert all(hasattr(helmholtz, name) for name in helmholtz.__all__)


def test_the_calls_of_a_client_are_these() -> None:
    assert sorted(name for name in dir(helmholtz.Client) if not name.startswith("_")) == sorted(CALLS.split())


def test_the_library_and_the_command_line_load_nothing_of_the_server() -> None:
    for statement in ("import helmholtz", "import helmholtz.cli"):
        loaded = loaded_after(statement)
        assert "httpx" in loaded
        assert not loaded.intersection(FOREIGN)


def test_the_check_sees_a_forbidden_import() -> None:
    assert "zoo" in loaded_after("import helmholtz, zoo.catalog")
