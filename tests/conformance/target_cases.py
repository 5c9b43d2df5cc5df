"""Every target of the catalogue, in a few small forms."""

from zoo.specs.targets.bars_and_stripes import BarsAndStripesSpec
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.bitstrings import BitstringsSpec
from zoo.specs.targets.coulomb_gas import CoulombGasSpec
from zoo.specs.targets.coupled_oscillators import CoupledOscillatorsSpec
from zoo.specs.targets.double_well import DoubleWellSpec
from zoo.specs.targets.double_well_particles import DoubleWellParticlesSpec
from zoo.specs.targets.dual_ising import DualIsingSpec
from zoo.specs.targets.gaussian import GaussianSpec
from zoo.specs.targets.gaussian_mixture import CircleMeans, GaussianMixtureSpec
from zoo.specs.targets.hopfield import HopfieldSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.targets.lennard_jones import LennardJonesSpec
from zoo.specs.targets.monatomic_water import MonatomicWaterSpec
from zoo.specs.targets.mueller_brown import MuellerBrownSpec
from zoo.specs.targets.phi4 import Phi4Spec
from zoo.specs.targets.potts import PottsSpec
from zoo.specs.targets.ring import RingSpec
from zoo.specs.targets.spin_glass import EdwardsAnderson, SherringtonKirkpatrick, SpinGlassSpec
from zoo.specs.targets.u1_gauge import U1GaugeSpec
from zoo.specs.targets.vector_spins import VectorSpinsSpec
from zoo.specs.targets.xy import XYSpec

TARGET_SPECS: dict[type[TargetSpec], tuple[TargetSpec, ...]] = {
    DualIsingSpec: (
        DualIsingSpec(shape=(2, 2), beta=0.3),
        DualIsingSpec(shape=(3, 4), beta=0.44),
        DualIsingSpec(shape=(4, 4), beta=0.7),
    ),
    Phi4Spec: (
        Phi4Spec(shape=(1,), mass_squared=-1.0, coupling=0.5),
        Phi4Spec(shape=(6,), mass_squared=-4.0, coupling=8.0),
        Phi4Spec(shape=(3, 3), mass_squared=1.0, coupling=0.0, beta=0.7),
        Phi4Spec(shape=(4, 4), mass_squared=-4.0, coupling=8.0),
        Phi4Spec(shape=(2, 2, 3), mass_squared=0.5, coupling=1.0, beta=0.6),
    ),
    U1GaugeSpec: (
        U1GaugeSpec(shape=(2, 2), beta=0.8),
        U1GaugeSpec(shape=(3, 4), beta=2.0),
        U1GaugeSpec(shape=(1, 3)),
    ),
    XYSpec: (
        XYSpec(shape=(6,), beta=0.8),
        XYSpec(shape=(5,), J=-1.0, periodic=False),
        XYSpec(shape=(2, 5), beta=0.5),
        XYSpec(shape=(3, 3), periodic=False, beta=0.6),
        XYSpec(shape=(2, 2, 3), J=0.5),
    ),
    VectorSpinsSpec: (
        VectorSpinsSpec(shape=(6,), beta=0.8),
        VectorSpinsSpec(shape=(5,), J=-1.0, periodic=False, components=4),
        VectorSpinsSpec(shape=(2, 5), beta=0.5, h=0.3),
        VectorSpinsSpec(shape=(3, 3), periodic=False, beta=0.6, components=2),
        VectorSpinsSpec(shape=(1,), h=-1.5),
        VectorSpinsSpec(shape=(2, 2, 3), J=0.5),
    ),
    BarsAndStripesSpec: (
        BarsAndStripesSpec(shape=(3, 3)),
        BarsAndStripesSpec(shape=(2, 5), beta=0.7),
        BarsAndStripesSpec(shape=(1, 4)),
    ),
    BitstringsSpec: (
        BitstringsSpec(qubits=5, depth=8, seed=1),
        BitstringsSpec(qubits=3, depth=0),
        BitstringsSpec(qubits=6, depth=3, seed=2, beta=0.6),
    ),
    IsingSpec: (
        IsingSpec(shape=(7,), beta=0.7),
        IsingSpec(shape=(3, 3), beta=0.44),
        IsingSpec(shape=(3, 4), beta=0.3, J=-1, periodic=False),
        IsingSpec(shape=(2, 5), beta=0.5, h=0.25),
        IsingSpec(shape=(2, 2, 3), beta=0.2),
        IsingSpec(shape=(3, 4), lattice="triangular", beta=0.3, J=-1, h=0.2),
        IsingSpec(shape=(2, 4), lattice="triangular", beta=0.2),
        IsingSpec(shape=(3, 3), lattice="triangular", periodic=False, beta=0.3),
    ),
    HopfieldSpec: (
        HopfieldSpec(n=10, patterns=3, seed=1, beta=1.5),
        HopfieldSpec(n=6, patterns=((1, 1, -1, 1, -1, -1), (1, -1, 1, -1, 1, -1))),
        HopfieldSpec(n=9, patterns=((1,) * 9,), beta=2.0),
        HopfieldSpec(n=40, patterns=2, beta=1.2),
    ),
    PottsSpec: (
        PottsSpec(shape=(6,), q=4, beta=0.8),
        PottsSpec(shape=(3, 3), q=3, beta=1.005),
        PottsSpec(shape=(2, 5), q=2, J=-1.0, periodic=False),
        PottsSpec(shape=(2, 2, 2), q=3, beta=0.4),
        PottsSpec(shape=(4, 6), q=5, beta=1.2),
    ),
    SpinGlassSpec: (
        SpinGlassSpec(couplings=SherringtonKirkpatrick(n=10, seed=1), beta=1.3),
        SpinGlassSpec(couplings=EdwardsAnderson(shape=(3, 4), seed=2), fields=(0.3,) * 12, beta=0.7),
        SpinGlassSpec(couplings=EdwardsAnderson(shape=(2, 2, 3), seed=3, distribution="pm1", periodic=False)),
        SpinGlassSpec(couplings=((0, 1, 0.5), (1, 0, -2), (0.5, -2, 0)), fields=(0.1, 0, -0.4)),
        SpinGlassSpec(couplings=((0, 1, 1), (1, 0, 1), (1, 1, 0))),
        SpinGlassSpec(couplings=EdwardsAnderson(shape=(4, 9), seed=4)),
    ),
    CoulombGasSpec: (
        CoulombGasSpec(n=1, trap=2.0, dimension=3),
        CoulombGasSpec(n=2, trap=2.0, beta=10.0),
        CoulombGasSpec(n=6, trap=2.0, interaction="logarithmic", charge_squared=2.0),
        CoulombGasSpec(n=5, trap=0.5, dimension=3, charge_squared=1.7),
    ),
    DoubleWellParticlesSpec: (
        DoubleWellParticlesSpec(),
        DoubleWellParticlesSpec(n=2, dimension=1, a=0.5),
        DoubleWellParticlesSpec(n=3, dimension=3, b=1.0, c=0.0, r0=1.0, tau=2.0),
    ),
    LennardJonesSpec: (
        LennardJonesSpec(n=5, center_pull=0.5),
        LennardJonesSpec(n=2, dimension=2, sigma=0.9),
        LennardJonesSpec(n=8, density=0.9),
        LennardJonesSpec(n=6, dimension=2, box=(3.0, 2.5), cutoff=1.2, switching=0.9),
    ),
    GaussianSpec: (
        GaussianSpec(precision=((2.0, -0.7, 0.1), (-0.7, 0.5, 0.0), (0.1, 0.0, 3.0)), beta=0.6),
        GaussianSpec(precision=((0.3,),)),
    ),
    CoupledOscillatorsSpec: (
        CoupledOscillatorsSpec(n=6),
        CoupledOscillatorsSpec(n=2, onsite=0.5, spring=1.5, periodic=True, beta=2.0),
        CoupledOscillatorsSpec(n=5, onsite=0.5, periodic=True),
        CoupledOscillatorsSpec(n=4, onsite=0.5, ends="free", momenta=True),
        CoupledOscillatorsSpec(n=2, ends="fixed"),
    ),
    DoubleWellSpec: (
        DoubleWellSpec(),
        DoubleWellSpec(dimension=4, a=0.5, b=3.0, c=0.7, k=2.0, beta=0.8),
        DoubleWellSpec(dimension=1, b=-1.0),
    ),
    MuellerBrownSpec: (MuellerBrownSpec(), MuellerBrownSpec(beta=0.01)),
    GaussianMixtureSpec: (
        GaussianMixtureSpec(),
        GaussianMixtureSpec(means=((1.0, 2.0, 0.0), (-1.0, 0.0, 1.0)), scales=(0.5, 1.0), weights=(1.0, 3.0)),
        GaussianMixtureSpec(means=CircleMeans(modes=3, radius=2.0)),
        GaussianMixtureSpec(means=((1.5,), (-1.5,))),
    ),
    RingSpec: (RingSpec(), RingSpec(radii=(1.0, 2.5), width=0.3, beta=0.5)),
    MonatomicWaterSpec: (
        MonatomicWaterSpec(n=13, density=0.02, beta=2.5),
        MonatomicWaterSpec(n=2, density=0.002),
        MonatomicWaterSpec(n=8, box=(8.7, 9.0, 9.5)),
    ),
}
