"""Names of dimensions: those that a source has, completed by what else says what they are."""

from __future__ import annotations

from collections.abc import Sequence

Names = Sequence[str | None]


def completed(n_dims: int, *known: Names | None) -> tuple[str | None, ...] | None:
    """For each dimension the first name that is known; what completes the first repeats no name.

    Examples
    --------
    >>> completed(3, (None, "lat", "lon"), None, ("t", "y", "x"))
    ('t', 'lat', 'lon')
    """
    usable = [more for more in known if more is not None and len(more) == n_dims]
    names = list(usable[0]) if usable else []
    for more in usable[1:]:
        for i, name in enumerate(more):
            if names[i] is None and name not in names:
                names[i] = name
    return tuple(names) if any(name is not None for name in names) else None


def of_axes(axes: str | None) -> tuple[str, ...] | None:
    """Names for axes as a codec takes them; independent items are counted where there are several.

    Examples
    --------
    >>> of_axes("tyx"), of_axes("nnyx")
    (('t', 'y', 'x'), ('n1', 'n2', 'y', 'x'))
    """
    if axes is None:
        return None
    several = axes.count("n") > 1
    return tuple(
        f"n{axes[: i + 1].count('n')}" if letter == "n" and several else letter
        for i, letter in enumerate(axes)
    )
