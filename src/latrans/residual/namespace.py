"""Namespace: one arithmetic for NumPy arrays and for tensors.

The coder's arithmetic is written with operators and methods that both have; the few functions
that it needs besides come from here.  Tensors bring theirs: no framework is imported before one of
its tensors is met.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def namespace(x: Any) -> Any:
    """NumPy for its arrays and for numbers, else what does the same for tensors."""
    if isinstance(x, np.ndarray | np.generic | int):
        return np
    from ..tensors import namespace as of_tensors

    return of_tensors


def take(table: Any, index: Any) -> Any:
    """Entries of a constant table of numbers."""
    xp = namespace(index)
    return table[index] if xp is np else xp.take(table, index)
