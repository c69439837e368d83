"""Table map: which table serves each class of a section (FORMAT.md 6.5).

Tables are trained; on data unlike the training's another class's table may suit better.  The
encoder counts tokens and names the better tables.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..coding.fixed_point import Ints
from ..coding.rans.tables import Frequencies, cost_bits
from ..coding.tokens import ESCAPE, N_TOKENS
from .classes import N_TABLES

TableMap = npt.NDArray[np.uint8]
COST_UNIT = 256  # costs count in 1/256 bit
_ROWS = 16  # of a product of matrices
WORTH = 18 * COST_UNIT  # what an entry takes in a header, and a little more


def identity_map() -> TableMap:
    """Every class has its own table."""
    return np.arange(N_TABLES, dtype=np.uint8)


def token_costs(tables: Frequencies) -> npt.NDArray[np.float64]:
    """Cost of every token in every table, (N_TABLES, N_TOKENS) whole numbers of 1/256 bit."""
    bits = cost_bits(tables)
    escaped = bits[:, ESCAPE:] + 8
    direct = bits[:, :N_TOKENS]
    return np.rint(np.where(np.isinf(direct), escaped, direct) * COST_UNIT)


def cheapest_tables(counts: Ints, costs: npt.NDArray[np.float64]) -> TableMap:
    """The cheapest table for every class that pays for naming it; all sums are exact."""
    tables = identity_map()
    # Small planes meet few classes and tokens.
    met, tokens = np.flatnonzero(counts.any(1)), np.flatnonzero(counts.any(0))
    seen = counts[np.ix_(met, tokens)].astype(np.float64)
    # A few rows at once: for more a BLAS calls threads, and they wait longer than they work.
    parts = [seen[i : i + _ROWS] @ costs[:, tokens].T for i in range(0, len(met), _ROWS)]
    total = np.concatenate(parts) if parts else np.zeros((0, len(costs)))
    rows = np.arange(len(met))
    best = total.argmin(1)
    pays = total[rows, met] - total[rows, best] > WORTH
    tables[met[pays]] = best[pays]
    return tables
