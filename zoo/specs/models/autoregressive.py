"""What all families have in common that are q(x) = prod_i q(x_i | x_1..x_{i-1}), as a user writes it."""

from zoo.specs.models.distribution import DistributionSpec


class AutoregressiveSpec(DistributionSpec):
    """A family that is sampled site by site.  Subclasses add ``family`` and the parameters of the network."""
