"""What can be asked for: model families and targets, energies and exact references."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike

from helmholtz.arrays import as_samples
from helmholtz.connection import json_call, path_of
from helmholtz.results import EnergyResult, Info, ModelFamily, Reference, TargetKind
from helmholtz.room import Room

Spec = Mapping[str, Any]


class ZooCalls(Room):
    """The calls under /v1/info, /v1/zoo and /v1/targets."""

    def info(self) -> Info:
        """Version, limits, devices and threads of the installation."""
        return Info.read(self._connection.get(path_of("info")))

    def healthy(self) -> bool:
        """Whether a gateway answers at the URL."""
        answer = self._connection.probe("/healthz")
        return answer is not None and answer.status_code == 200

    def ready(self) -> bool:
        """Whether database, Redis and at least one engine answer, so that work can be done."""
        answer = self._connection.probe("/readyz")
        return answer is not None and answer.status_code == 200

    def zoo_models(self) -> list[ModelFamily]:
        """Every model family that can be trained, with its capabilities and the schema of its spec."""
        return [ModelFamily.read(e) for e in self._connection.pages(path_of("zoo", "models"), "models")]

    def zoo_model(self, family: str) -> ModelFamily:
        """One model family."""
        return ModelFamily.read(self._connection.get(path_of("zoo", "models", family)))

    def zoo_targets(self) -> list[TargetKind]:
        """Every kind of physical system, with its formula, units and the schema of its spec."""
        return [TargetKind.read(e) for e in self._connection.pages(path_of("zoo", "targets"), "targets")]

    def zoo_target(self, kind: str) -> TargetKind:
        """One kind of physical system."""
        return TargetKind.read(self._connection.get(path_of("zoo", "targets", kind)))

    def energy(self, target: Spec, samples: ArrayLike, *, force: bool = False) -> EnergyResult:
        """The energy E(x) of each configuration, and with ``force`` also -grad E, in the target's unit.

        Raises:
            InvalidValueError: the target or a configuration is not valid; the error names the first offender.
        """
        body = {"target": target, "samples": as_samples(samples), "force": force or None}
        return EnergyResult.read(self._connection.json(json_call("/v1/targets:energy", body)))

    def reference(self, target: Spec) -> Reference:
        """The exact beta_f of a target, its method and citation.

        Raises:
            NotFoundError: reason ``NO_EXACT_REFERENCE``, no exact solution is known.
        """
        answer = self._connection.json(json_call("/v1/targets:reference", {"target": target}))
        return Reference.read(answer)
