"""Cost map: where the bits of a lossless chunk go, sample by sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..coding.rans.tables import cost_bits
from ..coding.tokens import ESCAPE, tokenise
from ..errors import ConfigError
from ..format import axes
from ..residual import coder
from ..residual.reference_backend import ReferenceBackend
from ..residual.values import coder as values
from .choose_map import choose
from .encode import Task, analyse, suits
from .pieces import arrange

Array = npt.NDArray[Any]


def cost_map(task: Task, array: Array) -> npt.NDArray[np.float64]:
    """Bits of each sample of an array, without headers; by the reference coder."""
    model = task.model
    if model.predictor is None:
        raise ConfigError(f"model {model.name!r} is lossy only: it has no lossless cost to show")
    named = axes.check(
        task.axes or axes.default(model.axes, array.shape, model.geometry),
        array.ndim,
        model.geometry,
    )
    layout = axes.layout(named, array.shape, model.geometry)
    planes = layout.split(array)
    mapping = (
        choose(model, layout, planes, None, task.fill_value)
        if suits(model, array, layout)
        else None
    )
    if mapping is None:
        raise ConfigError(f"model {model.name!r} does not suit a {array.dtype} array of {named!r}")
    reconstructions = None
    if model.predictor.has_reconstruction:
        _, reconstructions = analyse(task, mapping.integers)
    bits = cost_bits(model.predictor.tables)
    if model.by_value:
        assert reconstructions is not None
        classes = model.value_coder(task.engine).classes(mapping.integers, reconstructions)
        cost = bits[classes, mapping.integers]
        cost = np.where(np.isinf(cost), bits[classes, values.ESCAPE] + 8, cost)
        return layout.join(cost, array.shape)
    plan = arrange(model.geometry, layout, mapping.integers.shape, mapping.integers)
    parts = []
    for classes in coder.classes_of(
        ReferenceBackend(model.neighbourhood),
        plan.infos,
        plan.cut(mapping.integers),
        None if reconstructions is None else plan.cut(reconstructions),
        plan.max_reference_distance,
    ):
        token, n_raw, _ = tokenise(classes.offset, classes.low_bits)
        cost = bits[classes.table, token]
        escaped = bits[classes.table, ESCAPE] + 8
        parts.append(np.where(np.isinf(cost), escaped, cost) + n_raw)
    return layout.join(plan.paste(parts), array.shape)
