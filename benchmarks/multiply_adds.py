"""Multiply-adds that one configuration needs: one for each weight that a site uses, and those of attention."""

from zoo.models.masked_dense import MaskedDense
from zoo.models.pixelcnn import PixelCnn
from zoo.models.rnn import Rnn
from zoo.models.site_network import SiteNetwork
from zoo.models.transformer import Transformer


def multiply_adds(network: SiteNetwork) -> float:
    """Those of all sites together, for spins; activations and norms are not counted.

    Raises:
        TypeError: no count is known for this family.
    """
    if isinstance(network, MaskedDense):
        masks = [network._input_mask, network._output_mask, network._direct_mask]
        return float(sum(mask.sum() for mask in masks) + (network.depth - 1) * network._hidden_mask.sum())
    if isinstance(network, PixelCnn):
        return _pixelcnn(network)
    n = network.space.num_sites
    columns = n // network.space.event_shape[0]
    frontier = 2 * n * columns - columns**2  # the last sites, and the first row in all rows but itself
    direct = n * (n - 1) / 2
    if isinstance(network, Rnn):
        recurrent = sum(parameter.numel() for name, parameter in network.cells.named_parameters() if "weight" in name)
        between = sum(weight.numel() for weight in network.layer_weights)
        return float(frontier * network.frontier.units + n * (recurrent + between) + direct)
    if isinstance(network, Transformer):
        width, depth = network.spec.width, network.spec.depth
        return frontier * width + n * width * (12 * width * depth + 1) + depth * width * n * (n + 1) + direct
    msg = f"no count of multiply-adds is known for {type(network).__name__}"
    raise TypeError(msg)


def _pixelcnn(network: PixelCnn) -> float:
    n, rows, columns, width = network.space.num_sites, network.rows, network.columns, network.spec.width
    whole_rows = sum(min(network.reach, row) + (row > network.reach) for row in range(rows))
    first = (whole_rows * columns**2 + rows * columns * (columns - 1) / 2) * (width + 1)
    return float(first + n * (sum(kernel.numel() for kernel in network.kernels) + width))
