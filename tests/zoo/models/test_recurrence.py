"""Gated cells against torch's own unit, against their formula read aloud, and their gradient against differences."""

import torch
from torch import Tensor, nn

from zoo.models.recurrence import chain_states, lattice_states

ROWS, COLUMNS, WIDTH, BATCH = 2, 3, 4, 5


def draws(*shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]


def chain_arguments() -> list[Tensor]:
    return draws((6, 3 * WIDTH, BATCH), (3 * WIDTH, WIDTH), (WIDTH,))


def lattice_arguments() -> list[Tensor]:
    return draws((ROWS * COLUMNS, 4 * WIDTH, BATCH), (4 * WIDTH, 2 * WIDTH), (WIDTH,))


def on_lattice(given: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return lattice_states(given, weight, bias, COLUMNS)


def test_a_chain_is_the_gated_unit_of_torch() -> None:
    given, weight, bias = chain_arguments()
    unit = nn.GRU(3 * WIDTH, WIDTH, dtype=torch.float64)
    with torch.no_grad():
        unit.get_parameter("weight_ih_l0").copy_(torch.eye(3 * WIDTH))
        unit.get_parameter("bias_ih_l0").zero_()
        unit.get_parameter("weight_hh_l0").copy_(weight)
        unit.get_parameter("bias_hh_l0").copy_(torch.cat([torch.zeros(2 * WIDTH), bias]))
        expected, _ = unit(given.transpose(1, 2))
    torch.testing.assert_close(chain_states(given, weight, bias), expected.transpose(1, 2), check_dtype=False)


def test_a_lattice_follows_its_formula() -> None:
    given, weight, bias = lattice_arguments()
    states = on_lattice(given, weight, bias).view(ROWS, COLUMNS, WIDTH, BATCH)
    nothing = torch.zeros(WIDTH, BATCH, dtype=torch.float64)
    for site, a in enumerate(given):
        row, column = divmod(site, COLUMNS)
        left = states[row, column - 1] if column else nothing
        up = states[row - 1, column] if row else nothing
        r, z, y, n = torch.split(weight @ torch.cat([left, up]), WIDTH)
        a_r, a_z, a_y, a_n = torch.split(a, WIDTH)
        update, side = torch.sigmoid(a_z + z), torch.sigmoid(a_y + y)
        new = torch.tanh(a_n + torch.sigmoid(a_r + r) * (n + bias[:, None]))
        expected = (1 - update) * new + update * (side * left + (1 - side) * up)
        torch.testing.assert_close(states[row, column], expected)


def test_gradients_are_those_of_finite_differences() -> None:
    assert torch.autograd.gradcheck(chain_states, chain_arguments())
    assert torch.autograd.gradcheck(on_lattice, lattice_arguments())


def test_states_stay_between_minus_one_and_one() -> None:
    given, weight, bias = (10 * argument for argument in lattice_arguments())
    assert float(on_lattice(given, weight, bias).detach().abs().max()) <= 1
