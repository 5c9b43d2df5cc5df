"""Naive mean field as a user writes it."""

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from zoo.specs.models.autoregressive import AutoregressiveSpec
from zoo.specs.models.base import Capabilities
from zoo.specs.models.fixed_point import FixedPointSpec
from zoo.specs.spaces import SpaceSpec


class MeanFieldSpec(FixedPointSpec, AutoregressiveSpec):
    """Independent spins or bits, each with a field of its own: the baseline that knows no correlation."""

    description: ClassVar[str] = "independent sites, q(s) = prod_i sigmoid(s_i x_i): naive mean field, the baseline"
    citation: ClassVar[str] = "Weiss, J. Phys. Theor. Appl. 6, 661 (1907); Blei et al., arXiv:1601.00670 (variational)"
    capabilities: ClassVar[Capabilities] = Capabilities(
        data_space=("spins", "bits"),
        latent_space=None,
        sampling="direct-parallel",
        log_likelihood="exact",
        trains_from="both",
        conditional_completion=True,
        encode=False,
    )

    can_learn_symmetries: ClassVar[bool] = False

    family: Literal["mean_field"] = "mean_field"
    solution: Literal["self_consistent", "trained"] = "self_consistent"
    """``self_consistent``: m_i = tanh(beta (sum_j J_ij m_j + h_i)), iterated, for targets with pairs of spins.
    ``trained``: by an objective, on any target or data, and with ``condition_on``."""

    @property
    def is_solved(self) -> bool:
        """As ``solution`` says."""
        return self.solution == "self_consistent"

    @model_validator(mode="after")
    def _is_one_product(self) -> Self:
        if self.symmetries:
            msg = (
                f"symmetry {self.symmetries[0]!r}: independent sites have it only where their fields do, and an "
                "average over images is no product over sites any more (with 'z2' every spin would be even); use 'none'"
            )
            raise ValueError(msg)
        if self.is_solved and self.condition_on.names:
            msg = "condition_on: the equations are solved at one value; take solution 'trained', or leave it out"
            raise ValueError(msg)
        return self

    def working_size(self, space: SpaceSpec) -> int:
        """A field for each site, and the weights that modulate it where there are conditions."""
        return (65 if self.condition_on.names else 1) * space.num_sites
