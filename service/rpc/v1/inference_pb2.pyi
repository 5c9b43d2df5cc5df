from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Tensor(_message.Message):
    __slots__ = ("dtype", "shape", "data")
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    dtype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    data: bytes
    def __init__(self, dtype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., data: _Optional[bytes] = ...) -> None: ...

class ModelReference(_message.Message):
    __slots__ = ("model", "ref")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REF_FIELD_NUMBER: _ClassVar[int]
    model: str
    ref: str
    def __init__(self, model: _Optional[str] = ..., ref: _Optional[str] = ...) -> None: ...

class SampleRequest(_message.Message):
    __slots__ = ("model", "n", "seed", "include_log_prob", "include_energy", "beta", "condition", "correction")
    class ConditionEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_LOG_PROB_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_ENERGY_FIELD_NUMBER: _ClassVar[int]
    BETA_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    CORRECTION_FIELD_NUMBER: _ClassVar[int]
    model: ModelReference
    n: int
    seed: int
    include_log_prob: bool
    include_energy: bool
    beta: float
    condition: _containers.ScalarMap[str, float]
    correction: str
    def __init__(self, model: _Optional[_Union[ModelReference, _Mapping]] = ..., n: _Optional[int] = ..., seed: _Optional[int] = ..., include_log_prob: _Optional[bool] = ..., include_energy: _Optional[bool] = ..., beta: _Optional[float] = ..., condition: _Optional[_Mapping[str, float]] = ..., correction: _Optional[str] = ...) -> None: ...

class SampleChunk(_message.Message):
    __slots__ = ("samples", "log_prob", "energy", "log_weight", "seed", "model", "version", "last", "warnings", "diagnostics")
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    LOG_PROB_FIELD_NUMBER: _ClassVar[int]
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    LOG_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    samples: Tensor
    log_prob: Tensor
    energy: Tensor
    log_weight: Tensor
    seed: int
    model: str
    version: int
    last: bool
    warnings: _containers.RepeatedScalarFieldContainer[str]
    diagnostics: SampleDiagnostics
    def __init__(self, samples: _Optional[_Union[Tensor, _Mapping]] = ..., log_prob: _Optional[_Union[Tensor, _Mapping]] = ..., energy: _Optional[_Union[Tensor, _Mapping]] = ..., log_weight: _Optional[_Union[Tensor, _Mapping]] = ..., seed: _Optional[int] = ..., model: _Optional[str] = ..., version: _Optional[int] = ..., last: _Optional[bool] = ..., warnings: _Optional[_Iterable[str]] = ..., diagnostics: _Optional[_Union[SampleDiagnostics, _Mapping]] = ...) -> None: ...

class SampleDiagnostics(_message.Message):
    __slots__ = ("correction", "num_samples", "independent", "effective_sample_size", "effective_sample_fraction", "pareto_k", "acceptance_rate", "autocorrelation_time", "r_hat", "num_chains", "num_steps", "burn_in", "thin", "step_size", "num_leapfrog", "reliable", "warnings")
    class AutocorrelationTimeEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class RHatEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    CORRECTION_FIELD_NUMBER: _ClassVar[int]
    NUM_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    INDEPENDENT_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_SAMPLE_SIZE_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_SAMPLE_FRACTION_FIELD_NUMBER: _ClassVar[int]
    PARETO_K_FIELD_NUMBER: _ClassVar[int]
    ACCEPTANCE_RATE_FIELD_NUMBER: _ClassVar[int]
    AUTOCORRELATION_TIME_FIELD_NUMBER: _ClassVar[int]
    R_HAT_FIELD_NUMBER: _ClassVar[int]
    NUM_CHAINS_FIELD_NUMBER: _ClassVar[int]
    NUM_STEPS_FIELD_NUMBER: _ClassVar[int]
    BURN_IN_FIELD_NUMBER: _ClassVar[int]
    THIN_FIELD_NUMBER: _ClassVar[int]
    STEP_SIZE_FIELD_NUMBER: _ClassVar[int]
    NUM_LEAPFROG_FIELD_NUMBER: _ClassVar[int]
    RELIABLE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    correction: str
    num_samples: int
    independent: bool
    effective_sample_size: float
    effective_sample_fraction: float
    pareto_k: float
    acceptance_rate: float
    autocorrelation_time: _containers.ScalarMap[str, float]
    r_hat: _containers.ScalarMap[str, float]
    num_chains: int
    num_steps: int
    burn_in: int
    thin: int
    step_size: float
    num_leapfrog: float
    reliable: bool
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, correction: _Optional[str] = ..., num_samples: _Optional[int] = ..., independent: _Optional[bool] = ..., effective_sample_size: _Optional[float] = ..., effective_sample_fraction: _Optional[float] = ..., pareto_k: _Optional[float] = ..., acceptance_rate: _Optional[float] = ..., autocorrelation_time: _Optional[_Mapping[str, float]] = ..., r_hat: _Optional[_Mapping[str, float]] = ..., num_chains: _Optional[int] = ..., num_steps: _Optional[int] = ..., burn_in: _Optional[int] = ..., thin: _Optional[int] = ..., step_size: _Optional[float] = ..., num_leapfrog: _Optional[float] = ..., reliable: _Optional[bool] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class LogLikelihoodRequest(_message.Message):
    __slots__ = ("model", "samples", "beta", "condition", "mask", "proposals", "seed", "include_label_posterior")
    class ConditionEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    BETA_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    PROPOSALS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_LABEL_POSTERIOR_FIELD_NUMBER: _ClassVar[int]
    model: ModelReference
    samples: Tensor
    beta: float
    condition: _containers.ScalarMap[str, float]
    mask: Tensor
    proposals: int
    seed: int
    include_label_posterior: bool
    def __init__(self, model: _Optional[_Union[ModelReference, _Mapping]] = ..., samples: _Optional[_Union[Tensor, _Mapping]] = ..., beta: _Optional[float] = ..., condition: _Optional[_Mapping[str, float]] = ..., mask: _Optional[_Union[Tensor, _Mapping]] = ..., proposals: _Optional[int] = ..., seed: _Optional[int] = ..., include_label_posterior: _Optional[bool] = ...) -> None: ...

class LogLikelihoodReply(_message.Message):
    __slots__ = ("log_likelihood", "kind", "model", "version", "warnings", "label_posterior", "standard_error", "effective_sample_size", "num_proposals", "seed", "condition")
    class ConditionEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    LOG_LIKELIHOOD_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    LABEL_POSTERIOR_FIELD_NUMBER: _ClassVar[int]
    STANDARD_ERROR_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_SAMPLE_SIZE_FIELD_NUMBER: _ClassVar[int]
    NUM_PROPOSALS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    log_likelihood: Tensor
    kind: str
    model: str
    version: int
    warnings: _containers.RepeatedScalarFieldContainer[str]
    label_posterior: Tensor
    standard_error: Tensor
    effective_sample_size: Tensor
    num_proposals: int
    seed: int
    condition: _containers.ScalarMap[str, float]
    def __init__(self, log_likelihood: _Optional[_Union[Tensor, _Mapping]] = ..., kind: _Optional[str] = ..., model: _Optional[str] = ..., version: _Optional[int] = ..., warnings: _Optional[_Iterable[str]] = ..., label_posterior: _Optional[_Union[Tensor, _Mapping]] = ..., standard_error: _Optional[_Union[Tensor, _Mapping]] = ..., effective_sample_size: _Optional[_Union[Tensor, _Mapping]] = ..., num_proposals: _Optional[int] = ..., seed: _Optional[int] = ..., condition: _Optional[_Mapping[str, float]] = ...) -> None: ...

class CompletionRequest(_message.Message):
    __slots__ = ("model", "samples", "mask", "n", "proposals", "seed", "beta", "condition")
    class ConditionEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    PROPOSALS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    BETA_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    model: ModelReference
    samples: Tensor
    mask: Tensor
    n: int
    proposals: int
    seed: int
    beta: float
    condition: _containers.ScalarMap[str, float]
    def __init__(self, model: _Optional[_Union[ModelReference, _Mapping]] = ..., samples: _Optional[_Union[Tensor, _Mapping]] = ..., mask: _Optional[_Union[Tensor, _Mapping]] = ..., n: _Optional[int] = ..., proposals: _Optional[int] = ..., seed: _Optional[int] = ..., beta: _Optional[float] = ..., condition: _Optional[_Mapping[str, float]] = ...) -> None: ...

class CompletionChunk(_message.Message):
    __slots__ = ("log_marginal", "standard_error", "effective_sample_size", "samples", "exact", "seed", "model", "version", "condition", "num_proposals", "warnings", "last")
    class ConditionEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    LOG_MARGINAL_FIELD_NUMBER: _ClassVar[int]
    STANDARD_ERROR_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_SAMPLE_SIZE_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    NUM_PROPOSALS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    log_marginal: Tensor
    standard_error: Tensor
    effective_sample_size: Tensor
    samples: Tensor
    exact: bool
    seed: int
    model: str
    version: int
    condition: _containers.ScalarMap[str, float]
    num_proposals: int
    warnings: _containers.RepeatedScalarFieldContainer[str]
    last: bool
    def __init__(self, log_marginal: _Optional[_Union[Tensor, _Mapping]] = ..., standard_error: _Optional[_Union[Tensor, _Mapping]] = ..., effective_sample_size: _Optional[_Union[Tensor, _Mapping]] = ..., samples: _Optional[_Union[Tensor, _Mapping]] = ..., exact: _Optional[bool] = ..., seed: _Optional[int] = ..., model: _Optional[str] = ..., version: _Optional[int] = ..., condition: _Optional[_Mapping[str, float]] = ..., num_proposals: _Optional[int] = ..., warnings: _Optional[_Iterable[str]] = ..., last: _Optional[bool] = ...) -> None: ...

class FreeEnergyRequest(_message.Message):
    __slots__ = ("model", "method", "n", "seed", "beta", "condition", "target_standard_error", "max_seconds")
    class ConditionEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    BETA_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    TARGET_STANDARD_ERROR_FIELD_NUMBER: _ClassVar[int]
    MAX_SECONDS_FIELD_NUMBER: _ClassVar[int]
    model: ModelReference
    method: str
    n: int
    seed: int
    beta: float
    condition: _containers.ScalarMap[str, float]
    target_standard_error: float
    max_seconds: float
    def __init__(self, model: _Optional[_Union[ModelReference, _Mapping]] = ..., method: _Optional[str] = ..., n: _Optional[int] = ..., seed: _Optional[int] = ..., beta: _Optional[float] = ..., condition: _Optional[_Mapping[str, float]] = ..., target_standard_error: _Optional[float] = ..., max_seconds: _Optional[float] = ...) -> None: ...

class FreeEnergyUpdate(_message.Message):
    __slots__ = ("progress", "result")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    progress: Progress
    result: FreeEnergyResult
    def __init__(self, progress: _Optional[_Union[Progress, _Mapping]] = ..., result: _Optional[_Union[FreeEnergyResult, _Mapping]] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("num_samples", "fraction", "beta_f", "standard_error")
    NUM_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    BETA_F_FIELD_NUMBER: _ClassVar[int]
    STANDARD_ERROR_FIELD_NUMBER: _ClassVar[int]
    num_samples: int
    fraction: float
    beta_f: float
    standard_error: float
    def __init__(self, num_samples: _Optional[int] = ..., fraction: _Optional[float] = ..., beta_f: _Optional[float] = ..., standard_error: _Optional[float] = ...) -> None: ...

class Diagnostics(_message.Message):
    __slots__ = ("num_samples", "effective_sample_size", "effective_sample_fraction", "pareto_k", "reliable", "warnings", "why", "target_standard_error", "target_reached")
    NUM_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_SAMPLE_SIZE_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_SAMPLE_FRACTION_FIELD_NUMBER: _ClassVar[int]
    PARETO_K_FIELD_NUMBER: _ClassVar[int]
    RELIABLE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    TARGET_STANDARD_ERROR_FIELD_NUMBER: _ClassVar[int]
    TARGET_REACHED_FIELD_NUMBER: _ClassVar[int]
    num_samples: int
    effective_sample_size: float
    effective_sample_fraction: float
    pareto_k: float
    reliable: bool
    warnings: _containers.RepeatedScalarFieldContainer[str]
    why: str
    target_standard_error: float
    target_reached: bool
    def __init__(self, num_samples: _Optional[int] = ..., effective_sample_size: _Optional[float] = ..., effective_sample_fraction: _Optional[float] = ..., pareto_k: _Optional[float] = ..., reliable: _Optional[bool] = ..., warnings: _Optional[_Iterable[str]] = ..., why: _Optional[str] = ..., target_standard_error: _Optional[float] = ..., target_reached: _Optional[bool] = ...) -> None: ...

class Bound(_message.Message):
    __slots__ = ("beta_f", "standard_error")
    BETA_F_FIELD_NUMBER: _ClassVar[int]
    STANDARD_ERROR_FIELD_NUMBER: _ClassVar[int]
    beta_f: float
    standard_error: float
    def __init__(self, beta_f: _Optional[float] = ..., standard_error: _Optional[float] = ...) -> None: ...

class Exact(_message.Message):
    __slots__ = ("beta_f", "method", "citation")
    BETA_F_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    CITATION_FIELD_NUMBER: _ClassVar[int]
    beta_f: float
    method: str
    citation: str
    def __init__(self, beta_f: _Optional[float] = ..., method: _Optional[str] = ..., citation: _Optional[str] = ...) -> None: ...

class FreeEnergyResult(_message.Message):
    __slots__ = ("beta_f", "standard_error", "beta_f_per_site", "f", "method", "upper_bound", "diagnostics", "exact", "model", "version", "seed", "condition")
    class ConditionEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    BETA_F_FIELD_NUMBER: _ClassVar[int]
    STANDARD_ERROR_FIELD_NUMBER: _ClassVar[int]
    BETA_F_PER_SITE_FIELD_NUMBER: _ClassVar[int]
    F_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    UPPER_BOUND_FIELD_NUMBER: _ClassVar[int]
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    beta_f: float
    standard_error: float
    beta_f_per_site: float
    f: float
    method: str
    upper_bound: Bound
    diagnostics: Diagnostics
    exact: Exact
    model: str
    version: int
    seed: int
    condition: _containers.ScalarMap[str, float]
    def __init__(self, beta_f: _Optional[float] = ..., standard_error: _Optional[float] = ..., beta_f_per_site: _Optional[float] = ..., f: _Optional[float] = ..., method: _Optional[str] = ..., upper_bound: _Optional[_Union[Bound, _Mapping]] = ..., diagnostics: _Optional[_Union[Diagnostics, _Mapping]] = ..., exact: _Optional[_Union[Exact, _Mapping]] = ..., model: _Optional[str] = ..., version: _Optional[int] = ..., seed: _Optional[int] = ..., condition: _Optional[_Mapping[str, float]] = ...) -> None: ...

class FreeEnergyCurveRequest(_message.Message):
    __slots__ = ("model", "beta", "n", "seed", "condition")
    class ConditionEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    BETA_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    model: ModelReference
    beta: _containers.RepeatedScalarFieldContainer[float]
    n: int
    seed: int
    condition: _containers.ScalarMap[str, float]
    def __init__(self, model: _Optional[_Union[ModelReference, _Mapping]] = ..., beta: _Optional[_Iterable[float]] = ..., n: _Optional[int] = ..., seed: _Optional[int] = ..., condition: _Optional[_Mapping[str, float]] = ...) -> None: ...

class FreeEnergyCurveReply(_message.Message):
    __slots__ = ("points", "num_sites", "model", "version", "seed")
    POINTS_FIELD_NUMBER: _ClassVar[int]
    NUM_SITES_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    points: _containers.RepeatedCompositeFieldContainer[CurvePoint]
    num_sites: int
    model: str
    version: int
    seed: int
    def __init__(self, points: _Optional[_Iterable[_Union[CurvePoint, _Mapping]]] = ..., num_sites: _Optional[int] = ..., model: _Optional[str] = ..., version: _Optional[int] = ..., seed: _Optional[int] = ...) -> None: ...

class CurvePoint(_message.Message):
    __slots__ = ("beta", "condition", "beta_f", "standard_error", "upper_bound", "energy", "heat_capacity", "method", "diagnostics", "exact")
    class ConditionEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    BETA_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    BETA_F_FIELD_NUMBER: _ClassVar[int]
    STANDARD_ERROR_FIELD_NUMBER: _ClassVar[int]
    UPPER_BOUND_FIELD_NUMBER: _ClassVar[int]
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    HEAT_CAPACITY_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    beta: float
    condition: _containers.ScalarMap[str, float]
    beta_f: float
    standard_error: float
    upper_bound: Bound
    energy: Measured
    heat_capacity: Measured
    method: str
    diagnostics: Diagnostics
    exact: ExactPoint
    def __init__(self, beta: _Optional[float] = ..., condition: _Optional[_Mapping[str, float]] = ..., beta_f: _Optional[float] = ..., standard_error: _Optional[float] = ..., upper_bound: _Optional[_Union[Bound, _Mapping]] = ..., energy: _Optional[_Union[Measured, _Mapping]] = ..., heat_capacity: _Optional[_Union[Measured, _Mapping]] = ..., method: _Optional[str] = ..., diagnostics: _Optional[_Union[Diagnostics, _Mapping]] = ..., exact: _Optional[_Union[ExactPoint, _Mapping]] = ...) -> None: ...

class Measured(_message.Message):
    __slots__ = ("value", "standard_error")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    STANDARD_ERROR_FIELD_NUMBER: _ClassVar[int]
    value: float
    standard_error: float
    def __init__(self, value: _Optional[float] = ..., standard_error: _Optional[float] = ...) -> None: ...

class ExactPoint(_message.Message):
    __slots__ = ("beta_f", "method", "citation", "energy", "heat_capacity")
    BETA_F_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    CITATION_FIELD_NUMBER: _ClassVar[int]
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    HEAT_CAPACITY_FIELD_NUMBER: _ClassVar[int]
    beta_f: float
    method: str
    citation: str
    energy: float
    heat_capacity: float
    def __init__(self, beta_f: _Optional[float] = ..., method: _Optional[str] = ..., citation: _Optional[str] = ..., energy: _Optional[float] = ..., heat_capacity: _Optional[float] = ...) -> None: ...
