"""Create: Zarr arrays whose chunks suit their model, in stores that carry it.

What comes back are arrays and groups of zarr itself; whoever knows those knows these.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import zarr

from ..batch.foreign import unmasked
from ..chunk import chunking
from ..errors import ConfigError
from ..missing.conventions import DIMENSIONS, declared_by
from ..missing.ranges import known_range, refuse_large
from ..models.model import Model
from ..models.store import open_model
from ..numcodecs import Latrans
from . import models
from .codec import LatransCodec
from .opening import batches_of, drops_wrongly


def create(
    store: Any,
    *,
    name: str | None = None,
    shape: Sequence[int] | None = None,
    dtype: Any = None,
    data: Any = None,
    model: Any = "image-1",
    mode: str | None = None,
    max_error: float | None = None,
    quality: float | None = None,
    step: float | None = None,
    axes: str | None = None,
    model_storage: str | None = None,
    chunks: Sequence[int] | str = "auto",
    shards: Sequence[int] | None = None,
    batch_size: int | None = None,
    fill_value: Any = None,
    attributes: Mapping[str, Any] | None = None,
    dimension_names: Sequence[str | None] | None = None,
    zarr_format: int | None = None,
    overwrite: bool = False,
    **options: Any,
) -> zarr.Array[Any]:
    """Create a Zarr array that stores its chunks with latrans.

    Parameters
    ----------
    store : path, URL, Store, dict or zarr.Group
        As `zarr.create_array` takes it.
    name : str, optional
        Path of the array in the store; its root by default.
    shape, dtype
        Of the array; taken from `data` where that is given.
    data : array, optional
        Written to the array.
    model : str, os.PathLike, bytes or Model
        As for `latrans.Codec`.
    mode : {"lossless", "bounded", "lossy"}, optional
        By default bounded where there is a `max_error`, else lossless.  A write that covers a
        chunk in part decodes it and encodes it again: in lossy mode such a chunk gets worse each
        time, so write whole chunks; in bounded mode errors do not add up.
    max_error, quality, step, axes
        As for `latrans.Codec`.
    model_storage : {"name", "inline", "beside"}, optional
        Where the model is kept.  "name" stores no model, which is enough for the shipped ones;
        "inline" puts it into the array's metadata, up to 256 KiB, which any reader with latrans
        opens; "beside" puts it into the store, as the array ``models/<digest>``, where
        `latrans.zarr.open` finds it.  Either way a copy of the store is complete.  By default
        "name" for models that are shipped with latrans and for "auto", and for all others
        "inline" where they fit, else "beside".
    chunks : sequence of int or "auto"
        By default about a million samples that the model predicts jointly, see
        `latrans.chunk.chunking.default_chunks`.
    shards : sequence of int, optional
        Chunks are made to divide them.
    batch_size : int, optional
        Chunks that Zarr's pipeline hands over together.  Those under way share batches in any
        case; this puts more of them under way: ``async.concurrency`` times as many.
    fill_value : number, optional
        Value of what was never written.  A finite one also marks missing samples, which come back
        exactly in every mode; in format 2 with `dimension_names` there is none by default, for
        xarray would take it for such a mark.
    attributes : mapping, optional
        What they declare as missing is known to the codec, see `latrans.missing.conventions`.
    dimension_names : sequence of (str or None), optional
        Names such as "time", "lat", "lon", "z", "channel" also say what the dimensions are, unless
        `axes` does.
    zarr_format : {3, 2}, optional
        That of the group; 3 by default.
    overwrite : bool
        Whether to replace what there is.
    **options
        Further ones of `zarr.create_array`.

    Returns
    -------
    zarr.Array

    Raises
    ------
    ConfigError
        If arguments do not go together.
    ModelNotFoundError
        If the model is not found.

    Warns
    -----
    LatransWarning
        If a model that is not shipped is to be kept by "name": readers need its file then.

    Examples
    --------
    >>> import numpy as np
    >>> import latrans.zarr
    >>> stack = np.arange(2 * 600 * 700, dtype="uint16").reshape(2, 600, 700)
    >>> z = latrans.zarr.create({}, data=stack, dimension_names=["z", "y", "x"])
    >>> z.chunks, z.serializer.axes
    ((2, 512, 512), 'zyx')
    """
    taken = sorted({"serializer", "compressors", "compressor"} & set(options))
    if taken:
        raise ConfigError(
            f"{', '.join(taken)} cannot be given, since latrans fills these places: use "
            "zarr.create_array"
        )
    if data is not None:
        data = data if hasattr(data, "shape") and hasattr(data, "dtype") else np.asarray(data)
        data = unmasked(data)
        shape, dtype = data.shape, data.dtype
    if shape is None or dtype is None:
        raise ConfigError("an array needs shape and dtype, or data")
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if zarr_format is None:
        zarr_format = store.metadata.zarr_format if isinstance(store, zarr.Group) else 3
    if model_storage == "beside" and name is None:
        raise ConfigError(
            "an array at the root of a store has no group to keep a model in: give it a name, or "
            "use model_storage='inline'"
        )
    model_storage = models.storage_of(model, model_storage, name is not None)
    reference = models.reference(model, model_storage)
    opened = None if reference == "auto" else open_model(model)
    told, cut = chunking.model_axes(opened, shape, axes, dimension_names)
    if isinstance(chunks, str):
        if chunks != "auto":
            raise ConfigError(f"chunks is {chunks!r}; expected a shape or 'auto'")
        chunks = chunking.default_chunks(shape, cut)
        if shards is not None:
            chunks = chunking.inner_chunks(chunks, shards)
    values: dict[str, Any] = {
        "model": reference,
        "mode": mode or ("lossless" if max_error is None else "bounded"),
        "max_error": max_error,
        "fill_value": _marker(fill_value),
        "axes": told,
        "quality": quality,
        "step": step,
    }
    missing = declared_by(attributes or {}, dtype, fill_value)
    if values["mode"] != "lossless" and missing is not None:
        values["fill_value"] = missing.values or None
        values["valid_range"] = missing.ranges or None
    if isinstance(data, np.ndarray) and values["mode"] == "bounded":
        refuse_large(max_error, known_range(data, missing), "data")
    if fill_value is not None:
        options["fill_value"] = fill_value
    if zarr_format == 2:
        options["compressors"] = Latrans(**values)
        if dimension_names is not None:
            attributes = {**(attributes or {}), DIMENSIONS: list(dimension_names)}
            # xarray takes the fill value for a mark of missing samples; 0 is none unless chosen.
            options.setdefault("fill_value", None)
    else:
        options |= {"serializer": LatransCodec(**values), "compressors": None}
        options["dimension_names"] = dimension_names
    if drops_wrongly(dtype):
        options["config"] = {"write_empty_chunks": True, **(options.get("config") or {})}
    place = _place(store, opened, model_storage, zarr_format, options.get("storage_options"))
    # Zarr itself writes data chunk by chunk, and so in batches of those at work at once.
    is_whole = data is not None and batch_size is None
    with batches_of(batch_size):
        array = zarr.create_array(
            place,
            name=name,
            chunks=tuple(chunks),
            shards=shards,
            attributes=None if attributes is None else dict(attributes),
            zarr_format=zarr_format,
            overwrite=overwrite,
            **({"data": data} if is_whole else {"shape": shape, "dtype": dtype}),
            **options,
        )
        if data is not None and not is_whole:
            for part in _parts(array, batch_size):
                array[part] = np.asarray(data[part])
    return array


def _place(store: Any, model: Model | None, storage: str, zarr_format: int, options: Any) -> Any:
    """What `zarr.create_array` takes, with the model in it before the array is."""
    if storage == "beside" and model is not None:
        group = store
        if not isinstance(group, zarr.Group):
            group = zarr.open_group(
                store, mode="a", zarr_format=zarr_format, storage_options=options
            )
        models.keep(group, model)
        store = group
    return store.store_path if isinstance(store, zarr.Group) else store


def _marker(fill_value: Any) -> Any:
    """A fill value as a mark for missing samples, where it is a number."""
    is_number = isinstance(fill_value, (int, float, np.integer, np.floating))
    return None if isinstance(fill_value, bool) or not is_number else fill_value


def _parts(array: zarr.Array[Any], batch_size: int | None) -> Iterator[tuple[slice, ...]]:
    """Parts of an array that have all chunks which may be under way at once, no more held."""
    unit = array.shards or array.chunks
    per_unit = math.prod(array.shards or ()) // math.prod(array.chunks) if array.shards else 1
    left = max(1, (batch_size or 1) * zarr.config.get("async.concurrency") // per_unit)
    steps = [0] * array.ndim
    for d in reversed(range(array.ndim)):
        n = min(left, max(1, -(-array.shape[d] // unit[d])))
        steps[d] = n * unit[d]
        left //= n
    starts = [range(0, size, step) for size, step in zip(array.shape, steps, strict=True)]
    for corner in itertools.product(*starts):
        yield tuple(slice(a, a + step) for a, step in zip(corner, steps, strict=True))
