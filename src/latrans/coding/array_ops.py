"""Array operations: one arithmetic for NumPy arrays and for tensors.

The coder's arithmetic is written with operators and methods that both have; the few functions
that it needs besides come from here.  Other kinds of arrays bring theirs, by `register`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_others: dict[type, Any] = {}


def namespace(x: Any) -> Any:
    """NumPy for its arrays and for numbers, else what does the same for tensors."""
    if isinstance(x, np.ndarray | np.generic | int):
        return np
    for kind, functions in _others.items():
        if isinstance(x, kind):
            return functions
    raise TypeError(f"{type(x).__name__} is not an array of a kind that was registered")


def register(kind: type, functions: Any) -> None:
    """Tell of arrays of another kind, and the module with what `namespace` gives for them."""
    _others[kind] = functions


def take(table: Any, index: Any) -> Any:
    """Entries of a constant table of numbers."""
    xp = namespace(index)
    return table[index] if xp is np else xp.take(table, index)
