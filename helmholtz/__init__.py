"""Helmholtz from Python: ``from helmholtz import Client``."""

from helmholtz.client import Client
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
    FreeEnergyResult,
    Job,
    LogLikelihoodResult,
    Point,
    Reference,
    SampleResult,
    Version,
)

__all__ = [
    "AnsweredAsJobError",
    "ApiError",
    "Client",
    "ConflictError",
    "Dataset",
    "DatasetSamples",
    "EnergyResult",
    "Event",
    "FreeEnergyResult",
    "HelmholtzError",
    "InvalidArgumentError",
    "InvalidValueError",
    "Job",
    "JobCancelledError",
    "JobFailedError",
    "LogLikelihoodResult",
    "NotFoundError",
    "Point",
    "Reference",
    "RetryPolicy",
    "SampleResult",
    "ServiceUnreachableError",
    "UnavailableError",
    "UnexpectedAnswerError",
    "Version",
    "WaitTimeoutError",
]
