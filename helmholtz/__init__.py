"""Helmholtz from Python: ``from helmholtz import Client``."""

from helmholtz.client import Client
from helmholtz.completion import CompletionResult, LabelledLogLikelihoodResult
from helmholtz.connection import RetryPolicy
from helmholtz.errors import (
    AnsweredAsJobError,
    ApiError,
    ConflictError,
    HelmholtzError,
    InvalidArgumentError,
    InvalidValueError,
    JobCancelledError,
    JobFailedError,
    NotFoundError,
    ServiceUnreachableError,
    UnavailableError,
    UnexpectedAnswerError,
    WaitTimeoutError,
)
from helmholtz.events import Event
from helmholtz.results import (
    Dataset,
    DatasetSamples,
    EnergyResult,
    FreeEnergyCurveResult,
    FreeEnergyResult,
    Job,
    LogLikelihoodResult,
    Point,
    Reference,
    SampleResult,
    StoredCurve,
    Version,
)

__all__ = [
    "AnsweredAsJobError",
    "ApiError",
    "Client",
    "CompletionResult",
    "ConflictError",
    "Dataset",
    "DatasetSamples",
    "EnergyResult",
    "Event",
    "FreeEnergyCurveResult",
    "FreeEnergyResult",
    "HelmholtzError",
    "InvalidArgumentError",
    "InvalidValueError",
    "Job",
    "JobCancelledError",
    "JobFailedError",
    "LabelledLogLikelihoodResult",
    "LogLikelihoodResult",
    "NotFoundError",
    "Point",
    "Reference",
    "RetryPolicy",
    "SampleResult",
    "ServiceUnreachableError",
    "StoredCurve",
    "UnavailableError",
    "UnexpectedAnswerError",
    "Version",
    "WaitTimeoutError",
]
