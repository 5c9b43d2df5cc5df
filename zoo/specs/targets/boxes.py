"""Periodic boxes as a user writes them: the sides, or a density; and cut-offs that fit into them."""

Box = tuple[float, ...]


def checked_box(box: Box | None, density: float | None, dimension: int) -> Box | None:
    """``box``, when not both it and a density are given and it has a side for each axis.

    Raises:
        ValueError: otherwise.
    """
    if box is not None and density is not None:
        msg = "box and density were both given; a periodic box is given by its sides or by a density > 0, not both"
        raise ValueError(msg)
    if box is not None and len(box) != dimension:
        msg = f"box has {len(box)} sides; one side > 0 is expected for each of the {dimension} axes"
        raise ValueError(msg)
    return box


def cubic_box(num_particles: int, density: float, dimension: int) -> Box:
    """The sides (n / density)^(1/d) of the cube that holds n particles at ``density``, their number over its volume."""
    return ((num_particles / density) ** (1 / dimension),) * dimension


def require_half_box(cutoff: float, box: Box) -> None:
    """Nothing, when the cut-off is at most half the shortest side, so that a pair interacts through one image only.

    Raises:
        ValueError: a longer cut-off, naming the range.
    """
    half = min(box) / 2
    if cutoff > half * (1 + 1e-12):
        sides = " x ".join(f"{side:g}" for side in box)
        msg = f"cutoff is {cutoff:g} in a box of {sides}; allowed: 0 < cutoff <= {half:g}, half the shortest side"
        raise ValueError(msg)
