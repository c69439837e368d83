"""What workers need before their first task: models, an engine, and their share of the cores."""

from __future__ import annotations

import os
from typing import Any

from distributed.diagnostics.plugin import WorkerPlugin

from ..engine import VARIABLE as ENGINE
from ..engine import select
from ..store import open_model
from ..transfer.local import set_up


class ModelPlugin(WorkerPlugin):  # type: ignore[misc]
    """Carries models to every worker, those that join later included.

    Models travel as the bytes of their files, since a worker may see no file of the client's, and
    are found by digest there.  A worker's tasks use one thread for each thread that Dask gave it.

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
        set_up(self.files, worker.state.nthreads)
