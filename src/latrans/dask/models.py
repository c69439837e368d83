"""What workers need before their first task: models, an engine, and the plans of a transfer."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from distributed.diagnostics.plugin import WorkerPlugin

from ..engine import VARIABLE as ENGINE
from ..engine import select
from ..models.model import Model
from ..models.store import open_model, register
from ..transfer.move import move
from ..transfer.summary import Record


class ModelPlugin(WorkerPlugin):  # type: ignore[misc]
    """Carries models to every worker, those that join later included.

    Models travel as the bytes of their files, since a worker may see no file of the client's, and
    are found by digest there.

    Parameters
    ----------
    *models
        As `latrans.open_model` takes them.
    engine : str, optional
        Engine of the workers, see `latrans.engine`; their own choice by default.

    Examples
    --------
    >>> from latrans.dask import ModelPlugin
    >>> plugin = ModelPlugin("image-1")  # client.register_plugin(plugin)
    >>> plugin.name[:15]
    'latrans-models-'
    """

    idempotent = True  # a second one of the same name does nothing

    def __init__(self, *models: Any, engine: str | None = None) -> None:
        opened = sorted((open_model(model) for model in models), key=lambda model: model.digest)
        self.files = tuple(model.data for model in opened)
        self.engine = engine
        digests = "-".join(model.digest[:12] for model in opened)
        self.name = f"latrans-models-{digests}" + (f"-{engine}" if engine else "")

    def setup(self, worker: Any) -> None:
        """Ready the worker's process.

        Raises
        ------
        EngineError
            If the engine cannot run there.
        """
        if self.engine is not None:
            os.environ[ENGINE] = self.engine
            select(self.engine)
        for data in self.files:
            register(Model.from_bytes(data))


class PlanPlugin(WorkerPlugin):  # type: ignore[misc]
    """Carries the plans of a transfer to every worker, so that a task is a few numbers.

    A plan may hold attributes and a model inline; a transfer has as many tasks as blocks.
    """

    def __init__(self, run: str, plans: Sequence[Any], work: Callable[..., Record] = move) -> None:
        self.name = f"latrans-plans-{run}"
        self.run = run
        self.plans = tuple(plans)
        self.work = work

    def setup(self, worker: Any) -> None:
        """Make the plans known in the worker's process."""
        _plans[self.run] = self.work, self.plans

    def teardown(self, worker: Any) -> None:
        """Forget them."""
        _plans.pop(self.run, None)


def do_planned(run: str, number: int, i: int, *samples: Any) -> Record:
    """Work on block `i` by a plan that a `PlanPlugin` brought, such as `transfer.move.move`."""
    work, plans = _plans[run]
    return work(plans[number], i, *samples)


_plans: dict[str, tuple[Callable[..., Record], tuple[Any, ...]]] = {}
