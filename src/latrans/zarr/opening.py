"""Open: arrays and groups with the models that their store keeps, and how they are set.

What comes back are arrays and groups of zarr itself; whoever knows those knows these.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from ..errors import ConfigError
from . import models

_BATCHED = "zarr.core.codec_pipeline.BatchedCodecPipeline"


def open(
    store: Any, path: str | None = None, mode: str = "r", *, batch_size: int | None = None,
    **options: Any,
) -> zarr.Array[Any] | zarr.Group:  # fmt: skip
    """Open a Zarr array or group, with the models that its store keeps beside the data.

    Parameters
    ----------
    store : path, URL, Store, dict or zarr.Group
        The whole store, so that models of groups above `path` are found.
    path : str, optional
        Of the array or group in it.
    mode : {"r", "r+", "a", "w", "w-"}
        As for `zarr.open`.
    batch_size : int, optional
        As for `create`; of an array, not of those in a group.
    **options
        Further ones of `zarr.open`.

    Returns
    -------
    zarr.Array or zarr.Group
        Of a group, all arrays can be read whose models are in it or above it.  An array of floats
        that is opened by its path for writing keeps chunks of NaN bit for bit, as `create` does.

    Raises
    ------
    FileNotFoundError
        If there is no such array or group.
    ModelError
        If a model beside the data is damaged, or larger than any model.

    Examples
    --------
    >>> import numpy as np
    >>> import latrans.zarr
    >>> store, image = {}, np.arange(48, dtype="uint8").reshape(6, 8)
    >>> z = latrans.zarr.create(store, name="image", data=image, model_storage="beside")
    >>> bool((latrans.zarr.open(store, "image")[:] == image).all())
    True
    """
    from .zip_stores import resolved

    if isinstance(store, zarr.Group):
        store = store.store_path
    with batches_of(batch_size):
        try:
            node = zarr.open(resolved(store), mode=mode, path=path, **options)
        except FileNotFoundError as error:
            if path is None:
                raise
            where = store if isinstance(store, str | Path) else "the store"
            raise type(error)(f"{where} has no array or group {path!r}") from error
        if mode != "r" and isinstance(node, zarr.Array) and drops_wrongly(node.dtype):
            node = writing_all(node)
    models.load_for(node)
    return node


def writing_all(array: zarr.Array[Any]) -> zarr.Array[Any]:
    """The same array, writing chunks that equal its fill value, too.

    Zarr ignores the `config` that an array which exists is opened with.
    """
    inner = array._async_array
    config = replace(config_of(array), write_empty_chunks=True)
    return zarr.Array(zarr.AsyncArray(inner.metadata, inner.store_path, config))


def config_of(array: zarr.Array[Any]) -> Any:
    """What an array was opened with; zarr 3.1.3 keeps it under another name."""
    inner = array._async_array
    return inner.config if hasattr(inner, "config") else inner._config


def drops_wrongly(dtype: Any) -> bool:
    """Whether Zarr may take chunks for empty that are not: -0.0 or any NaN passes for another."""
    return np.dtype(dtype).kind in "fcV"


@contextmanager
def batches_of(size: int | None) -> Iterator[None]:
    """Zarr takes the size over into arrays that are made or opened meanwhile.

    Its fused pipeline hands over as many chunks as it has threads, whatever the size, so such an
    array gets the batched one.
    """
    if size is None:
        yield
        return
    if not isinstance(size, int) or size < 1:
        raise ConfigError(f"batch_size is {size!r}; expected a whole number of at least 1, or None")
    settings: dict[str, Any] = {"codec_pipeline.batch_size": size}
    if str(zarr.config.get("codec_pipeline.path")).endswith(".FusedCodecPipeline"):
        settings["codec_pipeline.path"] = _BATCHED
    with zarr.config.set(settings):
        yield
