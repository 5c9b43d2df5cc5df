"""Every bijection of the package: the way back, the logarithm of the determinant both ways, and signs.

A new bijection, scalar map or conditioner gets a line in ``FORMS``; one that has none is named by a test.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from math import pi, prod
from pkgutil import walk_packages
from typing import final

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import zoo
from tests.conformance.cases import scramble
from tests.zoo.nn.derivatives import derivatives
from zoo.models.bijections import coupling
from zoo.models.bijections.actnorm import ActNorm
from zoo.models.bijections.affine import AdditiveMap, AffineMap
from zoo.models.bijections.base import Bijection, Composition, Mapped
from zoo.models.bijections.circular_spline import CircularSplineMap
from zoo.models.bijections.coupling import Couplings, Halves, alternating, checkerboard
from zoo.models.bijections.gauge_coupling import CHANNELS, GaugeCouplings
from zoo.models.bijections.lu_linear import LULinear
from zoo.models.bijections.masked_autoregressive import MaskedAutoregressive
from zoo.models.bijections.non_compact_projection import ProjectionMap
from zoo.models.bijections.permutation import Permutation, reversal
from zoo.models.bijections.rational_quadratic import RationalQuadraticMap
from zoo.models.bijections.scalar_map import ScalarMap
from zoo.models.bijections.site_scales import SiteScales
from zoo.models.bijections.spectral import Spectral
from zoo.models.bijections.sphere_coupling import SphereCouplings
from zoo.models.bijections.squeeze import OnFirst, unsqueezing
from zoo.nn.channel_convolution import ChannelConvolution, ChannelShape
from zoo.nn.conditioner import Conditioner
from zoo.nn.conditioning import FEATURES, Features
from zoo.nn.dense import DenseConditioner, DenseShape
from zoo.nn.masked_dense_conditioner import MaskedDenseConditioner, MaskedShape
from zoo.nn.periodic_convolution import ConvolutionShape, PeriodicConvolution
from zoo.nn.periodic_inputs import PeriodicInputs
from zoo.nn.plane_convolution import PlaneConvolution, PlaneShape
from zoo.nn.weights import generator_of
from zoo.specs.models.flow import Activation

Shape = tuple[int, ...]

ROWS = 3
BOUND = 2.0
TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-10}

LISTS = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)
ANY = LISTS.filter(lambda shape: prod(shape) <= 24)
EVEN = st.sampled_from([(2,), (6,), (2, 2), (4, 2), (2, 4), (2, 2, 2)])
LATTICES = st.sampled_from([(1,), (3,), (4,), (2, 3), (4, 4), (2, 1, 3)])
PLANES = st.sampled_from([(4, 4), (4, 8)])


@final
@dataclass(frozen=True)
class Form:
    """A bijection of configurations of a shape, the shapes that it has, and what it claims."""

    make: Callable[[Shape], Bijection]
    shapes: st.SearchStrategy[Shape] = ANY
    sites_per_shape: int = 1
    of_angles: bool = False
    is_odd: bool = False
    is_conditional: bool = False

    def built(self, shape: Shape) -> Bijection:
        """With weights of some size."""
        bijection = self.make(shape)
        scramble(bijection, 0.1)
        return bijection.double()

    def points(self, shape: Shape, size: float, seed: int) -> Tensor:
        """Random variables of this size, and the ends of boxes and circles where they can be reached."""
        number = self.sites_per_shape * prod(shape)
        generator = generator_of(seed)
        if self.of_angles:
            angles = 2 * pi * torch.rand(ROWS, number, generator=generator, dtype=torch.float64) - pi
            angles[0] = -pi
            angles[1] *= size / (1 + size)
            return angles
        z = size * torch.randn(ROWS, number, generator=generator, dtype=torch.float64)
        if size == 1:
            z[0], z[1, 0] = BOUND, -BOUND
        return z

    def features(self) -> Features:
        """Of one row for each, where the form is conditional."""
        return torch.randn(ROWS, FEATURES, generator=generator_of(5)).double() if self.is_conditional else None

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Of configurations, in units of the larger of 1 and the largest variable of each."""
        difference = a - b
        if self.of_angles:
            difference = difference - 2 * pi * (difference / (2 * pi)).round()
        return difference.abs() / b.abs().amax(1, keepdim=True).clamp_min(1)


def dense(
    scalar_map: ScalarMap, *, odd: bool = False, conditional: bool = False, activation: Activation = "silu"
) -> Callable[[Shape], Bijection]:
    """Couplings with dense networks, of cosines and sines where the map is one of angles."""
    of_angles = isinstance(scalar_map, CircularSplineMap | ProjectionMap)

    def network(halves: Halves, layer: int) -> Conditioner:
        active, frozen = halves.of_layer(layer)
        inputs = len(frozen) * (2 if of_angles else 1)
        sizes = DenseShape(inputs, len(active), scalar_map.num_parameters, width=6, depth=2, activation=activation)
        parity = scalar_map.parity if odd else None
        inner = DenseConditioner(sizes, generator_of(layer), conditional=conditional, parity=parity)
        return PeriodicInputs(inner) if of_angles else inner

    def make(shape: Shape) -> Bijection:
        halves = alternating(prod(shape))
        return Couplings(halves, scalar_map, [network(halves, layer) for layer in range(2)])

    return make


def convolution(
    scalar_map: ScalarMap, *, odd: bool = False, conditional: bool = False, activation: Activation = "silu"
) -> Callable[[Shape], Bijection]:
    """Two couplings on a checkerboard with convolutional networks."""

    def make(shape: Shape) -> Bijection:
        halves = checkerboard(shape)
        networks = []
        for layer in range(2):
            active, frozen = halves.of_layer(layer)
            sizes = ConvolutionShape(
                shape, frozen, active, scalar_map.num_parameters, width=3, depth=2, activation=activation
            )
            parity = scalar_map.parity if odd else None
            networks.append(PeriodicConvolution(sizes, generator_of(layer), conditional=conditional, parity=parity))
        return Couplings(halves, scalar_map, networks)

    return make


def of_channels(shape: Shape) -> Bijection:
    """One of two channels on the lattice is mapped, given the other."""
    sizes = ChannelShape(shape, frozen=1, active=1, parameters=2, width=4, depth=2)
    places = torch.arange(2 * prod(shape))
    network = ChannelConvolution(sizes, generator_of(2), conditional=False)
    return Couplings(Halves(places[: prod(shape)], places[prod(shape) :]), AffineMap(), [network])


def masked(scalar_map: ScalarMap, seen: str) -> Callable[[Shape], Bijection]:
    """A masked layer of all variables."""

    def make(shape: Shape) -> Bijection:
        sizes = MaskedShape(prod(shape), scalar_map.num_parameters, linear=1, width=9, depth=2)
        conditioner = MaskedDenseConditioner(sizes, generator_of(1), conditional=False)
        return MaskedAutoregressive(conditioner, scalar_map, "data" if seen == "data" else "latent")

    return make


def gauge(scalar_map: ScalarMap) -> Callable[[Shape], Bijection]:
    """Four layers of links."""

    def make(shape: Shape) -> Bijection:
        sizes = PlaneShape(CHANNELS, scalar_map.num_parameters, width=4, depth=1)
        networks = [PlaneConvolution(sizes, generator_of(layer), conditional=False) for layer in range(4)]
        return GaugeCouplings(shape, scalar_map, networks)

    return make


def composed(shape: Shape) -> Bijection:
    """Steps of several kinds."""
    number = prod(shape)
    steps = [Spectral(shape), dense(AffineMap())(shape), reversal(number), LULinear(number), SiteScales(number)]
    return Composition(steps)


SPLINE = RationalQuadraticMap(5, BOUND)
FORMS: dict[str, Form] = {
    "affine": Form(dense(AffineMap())),
    "affine, relu": Form(dense(AffineMap(), activation="relu")),
    "affine, conditional": Form(dense(AffineMap(), conditional=True), is_conditional=True),
    "affine, odd": Form(dense(AffineMap(), odd=True), is_odd=True),
    "affine, convolution": Form(convolution(AffineMap()), EVEN),
    "affine, convolution, relu": Form(convolution(AffineMap(), activation="relu"), EVEN),
    "affine, convolution, conditional": Form(convolution(AffineMap(), conditional=True), EVEN, is_conditional=True),
    "affine, convolution, odd": Form(convolution(AffineMap(), odd=True), EVEN, is_odd=True),
    "affine, channels": Form(of_channels, LATTICES, sites_per_shape=2),
    "additive": Form(dense(AdditiveMap())),
    "additive, odd": Form(dense(AdditiveMap(), odd=True), is_odd=True),
    "additive, convolution": Form(convolution(AdditiveMap()), EVEN),
    "spline": Form(dense(SPLINE)),
    "spline of one bin": Form(dense(RationalQuadraticMap(1, BOUND))),
    "spline, conditional": Form(dense(SPLINE, conditional=True), is_conditional=True),
    "spline, odd": Form(dense(SPLINE, odd=True), is_odd=True),
    "spline, convolution": Form(convolution(SPLINE), EVEN),
    "spline, convolution, odd": Form(convolution(RationalQuadraticMap(8, BOUND), odd=True), EVEN, is_odd=True),
    "circular spline": Form(dense(CircularSplineMap(6)), of_angles=True),
    "circular spline, conditional": Form(
        dense(CircularSplineMap(3), conditional=True), of_angles=True, is_conditional=True
    ),
    "projection": Form(dense(ProjectionMap(2)), of_angles=True),
    "sees data": Form(masked(AffineMap(), "data")),
    "sees latents": Form(masked(AffineMap(), "latent")),
    "spline, sees data": Form(masked(SPLINE, "data")),
    "gauge, projection": Form(gauge(ProjectionMap(2)), PLANES, sites_per_shape=2, of_angles=True),
    "gauge, spline": Form(gauge(CircularSplineMap(4)), PLANES, sites_per_shape=2, of_angles=True),
    "spectrum": Form(Spectral, LATTICES, is_odd=True),
    "spectrum, conditional": Form(lambda shape: Spectral(shape, conditional=True), LATTICES, is_conditional=True),
    "scales": Form(lambda shape: SiteScales(prod(shape)), is_odd=True),
    "scales and shifts": Form(lambda shape: ActNorm(prod(shape))),
    "scales and shifts of channels": Form(lambda shape: ActNorm(prod(shape), 2), sites_per_shape=2),
    "linear": Form(lambda shape: LULinear(prod(shape))),
    "1x1 convolution": Form(lambda shape: LULinear(prod(shape), 3), sites_per_shape=3),
    "reversal": Form(lambda shape: reversal(prod(shape)), is_odd=True),
    "order": Form(lambda shape: Permutation(torch.randperm(prod(shape), generator=generator_of(1))), is_odd=True),
    "blocks": Form(lambda shape: unsqueezing(2, shape), EVEN, sites_per_shape=2, is_odd=True),
    "first ones": Form(lambda shape: OnFirst(LULinear(prod(shape)), prod(shape)), sites_per_shape=2),
    "steps": Form(composed, LATTICES),
}
every_form = pytest.mark.parametrize("name", FORMS)
OF_VECTORS = {SphereCouplings}
"""Whose volumes are those of tangent spaces: tested in ``test_sphere_flow``."""


def round_trip_errors(form: Form, bijection: Bijection, z: Tensor) -> tuple[float, float]:
    """The largest distance of z from f^-1(f(z)), and of ln |det| of both ways from opposites."""
    features = form.features()
    with torch.no_grad():
        x, log_det = bijection.forward_and_log_det(z, None if features is None else features.to(z.dtype))
        back, inverse = bijection.inverse_and_log_det(x, None if features is None else features.to(z.dtype))
    assert x.dtype == back.dtype == z.dtype
    assert x.shape == back.shape == z.shape
    assert log_det.dtype == inverse.dtype == torch.float64
    assert log_det.shape == inverse.shape == (len(z),)
    apart = ((log_det + inverse).abs() / log_det.abs().clamp_min(z.shape[1])).max()
    return float(form.distance(back, z).max()), float(apart)


def rounding_error(form: Form, bijection: Bijection, z: Tensor) -> float:
    """How far z moves where f(z) is rounded to the precision of z and all else is exact."""
    exact, features = bijection.double(), form.features()
    with torch.no_grad():
        x, _ = exact.forward_and_log_det(z.double(), features)
        back, _ = exact.inverse_and_log_det(x.to(z.dtype).double(), features)
    return float(form.distance(back, z.double()).max())


def log_det_error(step: Callable[[Tensor], Mapped], z: Tensor) -> float:
    """The largest distance of ln |det| from that of the matrix of derivatives."""
    _, log_det = step(z)
    exact = torch.linalg.slogdet(derivatives(lambda z: step(z)[0], z)).logabsdet
    return float((log_det - exact).detach().abs().max())


def oddness_error(bijection: Bijection, z: Tensor) -> float:
    """The largest |f(-z) + f(z)|, and of ln |det| the largest change."""
    with torch.no_grad():
        x, log_det = bijection.forward_and_log_det(z)
        y, mirrored = bijection.forward_and_log_det(-z)
    return max(float(((x + y).abs() / x.abs().clamp_min(1)).max()), float((log_det - mirrored).abs().max()))


@every_form
@settings(max_examples=12, deadline=None, derandomize=True, database=None)
@given(data=st.data(), size=st.sampled_from([1e-6, 1.0, 1e3]), dtype=st.sampled_from(list(TOLERANCES)))
def test_the_way_back_leads_back(name: str, data: st.DataObject, size: float, dtype: torch.dtype) -> None:
    """Within 1e-5 in single precision, and 10 times the error of rounding f(z) where that alone is more than 1e-6."""
    form = FORMS[name]
    shape = data.draw(form.shapes)
    bijection, z = form.built(shape).to(dtype), form.points(shape, size, seed=len(shape)).to(dtype)
    apart, log_dets_apart = round_trip_errors(form, bijection, z)
    unavoidable = rounding_error(form, bijection, z)
    allowed = max(1.0, 10 * unavoidable / TOLERANCES[dtype])
    assert apart < allowed * TOLERANCES[dtype]
    assert log_dets_apart < 10 * allowed * TOLERANCES[dtype]


@every_form
@settings(max_examples=6, deadline=None, derandomize=True, database=None)
@given(data=st.data(), size=st.sampled_from([1e-6, 1.0, 1e3]))
def test_log_dets_are_those_of_the_derivatives(name: str, data: st.DataObject, size: float) -> None:
    form = FORMS[name]
    shape = data.draw(form.shapes)
    bijection, z = form.built(shape), form.points(shape, size, seed=len(shape))
    x, _ = bijection.forward_and_log_det(z, form.features())
    assert log_det_error(lambda z: bijection.forward_and_log_det(z, form.features()), z) < 1e-8
    assert log_det_error(lambda x: bijection.inverse_and_log_det(x, form.features()), x.detach()) < 1e-8


@pytest.mark.parametrize("name", [name for name, form in FORMS.items() if form.is_odd])
@settings(max_examples=6, deadline=None, derandomize=True, database=None)
@given(data=st.data(), size=st.sampled_from([1e-6, 1.0, 1e3]))
def test_odd_maps_are_odd(name: str, data: st.DataObject, size: float) -> None:
    form = FORMS[name]
    shape = data.draw(form.shapes)
    assert oddness_error(form.built(shape), form.points(shape, size, seed=1)) < 1e-10


@pytest.mark.parametrize("name", ["affine", "spline", "affine, convolution", "scales and shifts", "linear"])
def test_maps_that_claim_no_oddness_have_none(name: str) -> None:
    assert oddness_error(FORMS[name].built((2, 2)), FORMS[name].points((2, 2), 1.0, seed=1)) > 1e-3


@final
class _Wrong(Bijection):
    """x = 2 z + 1e-4 sin(z), with a way back and determinants that leave the sine out."""

    def forward_and_log_det(self, z: Tensor, features: Features = None) -> Mapped:
        return 2 * z + 1e-4 * z.sin() + 1e-4, z.new_full((len(z),), 2.0).double().log() * z.shape[1]

    def inverse_and_log_det(self, x: Tensor, features: Features = None) -> Mapped:
        return x / 2, -x.new_full((len(x),), 2.01).double().log() * x.shape[1]


def test_a_map_that_is_none_is_caught_by_every_check() -> None:
    form = Form(lambda shape: _Wrong())
    wrong, z = form.built((3,)), form.points((3,), 1.0, seed=1)
    apart, log_dets_apart = round_trip_errors(form, wrong.float(), z.float())
    assert apart > TOLERANCES[torch.float32]
    assert log_dets_apart > 10 * TOLERANCES[torch.float32]
    assert log_det_error(wrong.forward_and_log_det, z) > 1e-8
    assert log_det_error(wrong.inverse_and_log_det, z) > 1e-8
    assert oddness_error(wrong, z) > 1e-10


@pytest.mark.parametrize("rows", [0, 1, 10])
@pytest.mark.parametrize("name", ["affine", "spline", "spline, convolution"])
def test_a_batch_in_parts_is_the_batch(name: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    conditional = dense(SPLINE, conditional=True) if rows else FORMS[name].make
    bijection = Form(conditional).built((2, 2))
    z = torch.randn(10, 4, generator=generator_of(1), dtype=torch.float64)
    features = torch.randn(rows, FEATURES, generator=generator_of(2), dtype=torch.float64) if rows else None
    for way in (bijection.forward_and_log_det, bijection.inverse_and_log_det):
        whole = way(z, features)
        for numbers in (1, 100, 10**6):
            monkeypatch.setattr(coupling, "_PARAMETERS_AT_ONCE", numbers)
            with torch.no_grad():
                parts = way(z, features)
            for part, all_rows in zip(parts, whole, strict=True):
                torch.testing.assert_close(part, all_rows.detach(), rtol=1e-12, atol=1e-12)


def concrete(base: type) -> Iterator[type]:
    """The final classes of the package below ``base``."""
    for package in (zoo.__path__,):
        for module in walk_packages(package, "zoo."):
            import_module(module.name)
    waiting = [base]
    while waiting:
        found = waiting.pop()
        waiting += found.__subclasses__()
        if found is not base and found.__module__.startswith("zoo.") and not found.__subclasses__():
            yield found


def parts_of(module: nn.Module) -> set[type]:
    """Its type, those of its modules, and of the scalar maps that they apply."""
    modules = list(module.modules())
    maps = {type(part.scalar_map) for part in modules if isinstance(part, Couplings | MaskedAutoregressive)}
    return {type(part) for part in modules} | maps


@pytest.mark.parametrize("base", [Bijection, ScalarMap, Conditioner])
def test_nothing_of_the_package_is_left_out(base: type) -> None:
    shapes: dict[int, Shape] = {id(ANY): (2,), id(EVEN): (2,), id(LATTICES): (3,), id(PLANES): (4, 4)}
    tested = set().union(*(parts_of(form.make(shapes[id(form.shapes)])) for form in FORMS.values()))
    missing = [found.__name__ for found in concrete(base) if found not in tested | OF_VECTORS]
    assert missing == [], "give them a line in FORMS"
    assert len(list(concrete(base))) >= 4
