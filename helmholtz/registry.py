"""The registry: models, versions and aliases."""

from helmholtz.connection import Call, json_call, path_of
from helmholtz.results import Alias, AliasMove, RegisteredModel, Version
from helmholtz.room import Room


class RegistryCalls(Room):
    """The calls under /v1/models that read the registry and move aliases."""

    def models(self) -> list[RegisteredModel]:
        """Every model in the registry."""
        return [RegisteredModel.read(entry) for entry in self._connection.pages(path_of("models"), "models")]

    def model(self, model: str) -> RegisteredModel:
        """One model of the registry."""
        return RegisteredModel.read(self._connection.get(path_of("models", model)))

    def versions(self, model: str) -> list[Version]:
        """The versions of a model."""
        found = self._connection.pages(path_of("models", model, "versions"), "versions")
        return [Version.read(entry) for entry in found]

    def version(self, model: str, ref: str | int = "latest") -> Version:
        """The version that a number or an alias names; ``latest`` is the newest."""
        return Version.read(self._connection.get(path_of("models", model, "versions", ref)))

    def aliases(self, model: str) -> list[Alias]:
        """The aliases of a model, each with the etag that moving it needs."""
        found = self._connection.pages(path_of("models", model, "aliases"), "aliases")
        return [Alias.read(entry) for entry in found]

    def set_alias(
        self, model: str, alias: str, version: int, *, if_match: str | None = None, force: bool = False
    ) -> Alias:
        """The alias, now pointing at ``version``.

        Creating one needs no ``if_match``; moving one needs the ``etag`` that it was read with (or ``*``: whatever it
        is).  ``force`` overrides the physics gate.

        Raises:
            PreconditionRequiredError: the alias exists and ``if_match`` is missing.
            PreconditionFailedError: somebody moved it in between.
            ConflictError: reason ``PHYSICS_GATE``, the version is worse than the present one.
        """
        headers = {} if if_match is None else {"If-Match": if_match}
        call = json_call(
            path_of("models", model, "aliases", alias),
            {"version": version, "force": force},
            headers,
            method="PUT",
            repeatable=False,  # a repetition after success would fail its own If-Match
        )
        return self._alias(alias, call)

    def rollback(self, model: str, alias: str) -> Alias:
        """The alias, pointing again at the version before the present one."""
        return self._alias(
            alias, Call("POST", path_of("models", model, "aliases", alias) + ":rollback", repeatable=False)
        )

    def alias_history(self, model: str, alias: str, at: str | None = None) -> list[AliasMove]:
        """The moves of an alias; with ``at``, an ISO 8601 time, those that held then."""
        path = path_of("models", model, "aliases", alias, "history")
        return [AliasMove.read(entry) for entry in self._connection.pages(path, "history", at=at)]

    def _alias(self, alias: str, call: Call) -> Alias:
        response = self._connection.send(call)
        known = {"alias": alias, "etag": response.headers.get("etag")}
        return Alias.read(known | self._connection.read_object(response))
