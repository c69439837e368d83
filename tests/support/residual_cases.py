"""Cases of the residual coder: a synthetic model, planes, and how each is to be coded."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

import synthetic


@st.composite
def cases(draw, largest=40):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    model = synthetic.predictor(
        rng,
        draw(st.sampled_from(["plane", "track"])),
        n_described=draw(st.integers(0, 2)),
        has_reconstruction=draw(st.booleans()),
        flat=draw(st.booleans()),
        hidden=draw(st.sampled_from([(), (1,), (9,), (32, 16), (5, 7, 3)])),
    )
    rows, columns = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    return synthetic.case(
        rng,
        model,
        draw(st.sampled_from(synthetic.KINDS)),
        rows,
        columns,
        missing=draw(st.integers(0, 2 * columns)),
        n_planes=draw(st.integers(1, 3)),
        n_bands=draw(st.integers(1, 5)),
        n_references=draw(st.integers(0, 3)),
        step=draw(st.sampled_from([1, 1, 1, 9, 17, 255])),
    )


def fixed_case(geometry="plane", kind="smooth", rows=20, columns=9, pictured=False, **kwargs):
    """The case of `synthetic.case` that comes first; `pictured` models know a reconstruction."""
    rng = np.random.default_rng(0)
    model = synthetic.predictor(rng, geometry, has_reconstruction=pictured)
    return synthetic.case(rng, model, kind, rows, columns, **kwargs)
