"""The exact reference of an Ising model: the first method that covers it.

Lengths of 1 are dropped first (they have no bond); a periodic length of 2 counts each bond twice in every method.
"""

from collections.abc import Callable
from math import cosh, exp, isfinite, log, log1p, prod, tanh

import torch
from jaxtyping import Float
from torch import Tensor

from zoo.exact.cumulants import Cumulants
from zoo.exact.enumeration import MAX_SPINS, enumeration_cumulants
from zoo.exact.kaufman import kaufman_applies, kaufman_cumulants
from zoo.exact.transfer_matrix import strip_applies, strip_cumulants
from zoo.specs.errors import FieldError, InvalidValueError, NoExactReferenceError
from zoo.specs.estimate import ExactReference
from zoo.specs.targets.ising import IsingSpec
