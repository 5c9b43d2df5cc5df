"""The measure-valued gradient of an average over independent two-valued sites: both values of every site in turn."""

import torch
from jaxtyping import Float, Num
from torch import Tensor

from zoo.core.models import IndependentSites
from zoo.objectives.sampled import Sampled
from zoo.specs.errors import CapabilityMissingError, InvalidValueError


def measure_valued_mean(sampled: Sampled) -> Float[Tensor, ""]:
    """Mean f, whose gradient is < q_i (1 - q_i) (f(x_i upper, rest) - f(x_i lower, rest)) > in each log-odds l_i.

    q_i = sigmoid(l_i) is the probability of the upper value, whose derivative is that of two measures with the same
    weight, one for each value.  The rest is what was drawn, so nothing is compared with a baseline, and what x_i
    itself was does not matter.  The energy is evaluated once more for every site: for few sites.

    Source: Mohamed, Rosca, Figurnov, Mnih, JMLR 21, 132 (2020), section 6.

    Raises:
        CapabilityMissingError: the sites of the model are not independent.
        InvalidValueError: a penalty for a symmetry that the model has not.
    """
    model = sampled.model
    if not isinstance(model, IndependentSites):
        msg = (
            f"gradient 'measure_valued' needs independent two-valued sites (family 'mean_field'), and "
            f"{type(model).__name__} has none; use 'score_function'"
        )
        raise CapabilityMissingError(msg)
    if sampled.penalty is not None:
        msg = "gradient 'measure_valued' knows no symmetry_penalty; set it to 0, or use 'score_function'"
        raise InvalidValueError(msg)
    log_odds = model.log_odds().double()
    difference = _reduced_energy_differences(sampled) + log_odds.detach()
    surrogate = (torch.sigmoid(log_odds) * difference).sum(1).mean()
    return sampled.f.mean() + surrogate - surrogate.detach()


def _reduced_energy_differences(sampled: Sampled) -> Float[Tensor, "batch site"]:
    """u(x_i upper, rest) - u(x_i lower, rest) of every row and site."""
    x = sampled.x
    flat = x.flatten(1)
    here = sampled.states.reduced_energy(x)
    differences = [
        torch.where(flat[:, site] > 0, here - there, there - here)
        for site, there in enumerate(_flipped_energies(sampled, flat))
    ]
    return torch.stack(differences, 1)


def _flipped_energies(sampled: Sampled, flat: Num[Tensor, "batch site"]) -> list[Float[Tensor, " batch"]]:
    """The reduced energy of every row with one site changed, for each site."""
    other = 1 - flat if sampled.model.space.spec.kind == "bits" else -flat
    energies = []
    for site in range(flat.shape[1]):
        changed = flat.clone()
        changed[:, site] = other[:, site]
        energies.append(sampled.states.reduced_energy(changed.reshape(sampled.x.shape)))
    return energies
