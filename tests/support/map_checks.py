"""What tests of value maps share: the kinds of maps, and whether all on offer are exact."""

from __future__ import annotations

import numpy as np

from latrans.maps import apply
from latrans.maps import mask as masks

IDENTITY, OFFSET, PALETTE, QUANTISED, TWO_LAYER, DIVIDED, GRID, STORED = range(8)  # FORMAT.md 5.1
SINGLE, WITH_EXCEPTIONS = 64, 128


def kinds(array: np.ndarray, fill_value: float | None = None) -> list[int]:
    """First bytes of the maps on offer; -1 for the map that needs none."""
    candidate_maps = apply.lossless(array, fill_value)
    return [offer.section[0] if offer.section else -1 for offer in candidate_maps]


def assert_offers_are_exact(array: np.ndarray, fill_value: float | None = None) -> int:
    candidate_maps = list(apply.lossless(array, fill_value))
    mask = masks.find(array, fill_value, exact=True) if array.dtype.kind == "f" else None
    for offer in candidate_maps:
        assert offer.integers.shape == array.shape
        assert abs(offer.integers).max() < 1 << 31
        found = apply.unmap(offer.integers, offer.section, array.dtype)
        if mask is not None:
            masks.restore(found, mask)
        assert found.dtype == array.dtype
        assert found.tobytes() == array.tobytes()
    return len(candidate_maps)
