"""Layout: how every array of a source looks in the target.

Arrays that latrans does not take, see `members`, are copied, with the codecs they had where the
Zarr format stays the same, else with Zarr's defaults.  Names, flags and indices are stored
losslessly beside arrays within a bound, see `exact`, unless they are named.  What arrays declare
as missing is made known to codecs that are not lossless, see `codecs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..chunk.chunking import default_chunks, model_axes
from ..errors import ConfigError
from ..models.store import DATA_URI, open_model
from ..numcodecs import Latrans
from ..zarr import LatransCodec
from ..zarr.frame_reader import configuration
from . import codecs, dimensions, members, metadata, ome, settings
from .options import TransferOptions

_MAX_INLINE_NBYTES = 1 << 23  # of models in the metadata of a group


@dataclass(frozen=True)
class Layout:
    """One array of a target before it is made.

    Attributes
    ----------
    name : str
        Path inside the target, "" for the target itself.
    source : array
    codec : LatransCodec or None
        None where the array is copied.
    chunks, shards : tuple of int; shards may be None
    options : dict
        Everything else that `zarr.create_array` takes.
    exact : str
        Why the array is stored losslessly though others are not; "" where it is not.
    model_storage : str
        Where the codec's model is kept, see `latrans.zarr.create`.
    """

    name: str
    source: Any
    codec: LatransCodec | None
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None
    options: dict[str, Any]
    exact: str = ""
    model_storage: str = "name"

    @property
    def unit(self) -> tuple[int, ...]:
        """Shape of what is written at once: a shard, or a chunk."""
        return self.shards or self.chunks

    def probe(self) -> None:
        """Encode a few samples: what is wrong with a codec shows before anything is written."""
        if self.codec is not None:
            shape = [min(n, 2) for n in self.source.shape]
            self.codec._codec.encode(np.zeros(shape, self.source.dtype))


def layouts(source: Any, options: TransferOptions) -> list[Layout]:
    """How every array of a source looks in the target; see `latrans.transfer.transcode`."""
    found = members.arrays_of(source)
    arrays, zarr_format = options.arrays, options.zarr_format
    codec = settings.by_path("codec", options.codec, found)
    if arrays is None and isinstance(codec, Mapping):
        arrays = list(codec)
    taken = members.chosen(found, arrays)
    if isinstance(codec, Mapping) and not set(taken) <= set(codec):
        unnamed = ", ".join(sorted(set(taken) - set(codec)))
        raise ConfigError(f"codec= has none for {unnamed}, which arrays= names: name it there, too")
    chunks = settings.by_path("chunks", options.chunks, found)
    shards = settings.by_path("shards", options.shards, found)
    for what, setting in (("codec", codec), ("chunks", chunks), ("shards", shards)):
        settings.only_for(what, setting, taken)
    groups = {path: dict(group.attrs) for path, group in members.groups_of(source).items()}
    axes = ome.dimension_names(groups)
    if not taken and found:
        raise ConfigError(
            "no array of the source is made of integers or floats of at least "
            f"{members.MIN_NBYTES >> 10} kB: name those that latrans should take with arrays="
        )
    kept = members.exact_arrays(source)
    named = set(arrays or ()) | (set(codec) if isinstance(codec, Mapping) else set())
    result = []
    for name, array in found.items():
        if name not in taken:
            result.append(_copied(name, array, zarr_format, axes.get(name)))
            continue
        own, storage = codecs.configured(_own(codec, name), options.model_storage, bool(name))
        if own.mode != "lossless" and name in kept and name not in named:
            lossless = codecs.lossless(own)
            if lossless is None:
                layout = _copied(name, array, zarr_format, axes.get(name))
                result.append(replace(layout, exact=kept[name]))
                continue
            own = lossless
        layout = _taken(name, array, own, chunks, shards, zarr_format, axes.get(name))
        result.append(replace(layout, model_storage=storage))
    if any(layout.codec is not None and layout.codec.mode != "lossless" for layout in result):
        result = [
            replace(layout, exact=kept[layout.name])
            if layout.codec is not None and layout.codec.mode == "lossless" and layout.name in kept
            else layout
            for layout in result
        ]
    n_inline, nbytes = _inline(result)
    if n_inline > 1 and nbytes > _MAX_INLINE_NBYTES:
        if options.model_storage is None:
            return layouts(source, replace(options, model_storage="beside"))
        raise ConfigError(
            f"a model inline in {n_inline} arrays makes {nbytes} bytes of metadata, and "
            f"{_MAX_INLINE_NBYTES} is the most: use model_storage='beside' (--model-storage "
            "beside), which keeps one copy"
        )
    return result


def _inline(found: list[Layout]) -> tuple[int, int]:
    """Models in metadata, and their bytes: consolidated metadata have them once for each array."""
    models = [item.codec.model for item in found if item.codec is not None]
    inline = [len(model) for model in models if model.startswith(DATA_URI)]
    return len(inline), sum(inline)


def _taken(
    name: str,
    array: Any,
    codec: LatransCodec,
    chunks: Any,
    shards: Any,
    zarr_format: int,
    image_axes: dimensions.Names | None,
) -> Layout:
    shape = tuple(array.shape)
    dtype = np.dtype(array.dtype)
    if dtype.hasobject or dtype.kind in "TU":
        raise ConfigError(f"{codecs.called(name)} has dtype {dtype}: latrans stores numbers")
    if codec.axes is not None and len(codec.axes) != len(shape):
        raise ConfigError(
            f"axes {codec.axes!r} names {len(codec.axes)} dimensions, {codecs.called(name)} has "
            f"{len(shape)}: give codec={{name: codec}}, or leave axes out"
        )
    described = metadata.described(array, zarr_format, codecs.mark(name, codec, dtype))
    if codec.mode != "lossless":
        codec = codecs.informed(name, array, codec)
    names = metadata.name_dimensions(described, len(shape), zarr_format, image_axes, codec.axes)
    model = None if codec.model == "auto" else open_model(codec.model)
    told, joined = model_axes(model, shape, codec.axes, names)
    if told != codec.axes:
        codec = LatransCodec.from_mapping({**codec.to_mapping(), "axes": told})
    cut = _own(chunks, name)
    if cut == "source":
        cut = getattr(array, "chunks", None)
    if cut is None:
        cut = default_chunks(shape, joined)
    cut = _checked_shape("chunks", cut, name, shape)
    whole = _own(shards, name)
    if whole is not None:
        whole = _checked_shape("shards", whole, name, shape)
        if zarr_format == 2:
            raise ConfigError("shards need Zarr format 3")
        if any(big % small for big, small in zip(whole, cut, strict=True)):
            raise ConfigError(f"shards {whole} are not a multiple of chunks {cut}")
    options: dict[str, Any] = {
        "dtype": array.dtype,
        **described,
        **metadata.chunk_names(array, zarr_format, image_axes),
    }
    if zarr_format == 2:
        options |= {"compressors": Latrans.from_mapping(codec.to_mapping()), "filters": None}
    else:
        options |= {"serializer": codec, "compressors": None}
    return Layout(name, array, codec, cut, whole, options)


def _copied(name: str, array: Any, zarr_format: int, image_axes: dimensions.Names | None) -> Layout:
    stored = array.metadata
    described = metadata.described(array, zarr_format, None)
    metadata.name_dimensions(described, array.ndim, zarr_format, image_axes)
    options: dict[str, Any] = {
        "dtype": stored.data_type if stored.zarr_format == 3 else stored.dtype,
        **described,
        **metadata.chunk_names(array, zarr_format, image_axes),
    }
    shards = None
    if stored.zarr_format == zarr_format:
        options |= {"compressors": array.compressors or None, "filters": array.filters or None}
        if zarr_format == 3:
            options["serializer"] = array.serializer
            shards = array.shards
    chunks = tuple(max(1, n) for n in array.chunks)
    return Layout(name, array, None, chunks, shards, options)


def plain(array: Any) -> dict[str, Any]:
    """What `zarr.create_array` takes for an array of format 3 like a stored one, without latrans.

    Other codecs stay where the format does; what latrans wrote gets Zarr's defaults.
    """
    like = _copied("", array, 3, None)
    options = dict(like.options)
    if configuration(array) is not None:
        for slot in ("serializer", "compressors", "filters"):
            options.pop(slot, None)
    # Zarr drops chunks that equal the fill value, and -0.0 or any NaN may pass for it.
    options["config"] = {"write_empty_chunks": np.dtype(array.dtype).kind in "fcV"}
    return {"shape": array.shape, "chunks": like.chunks, "shards": array.shards, **options}


def _own(setting: Any, name: str) -> Any:
    """What a setting says for one array, where it is given by name."""
    return setting.get(name) if isinstance(setting, Mapping) else setting


def _checked_shape(what: str, given: Any, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    cut = tuple(int(n) for n in given)
    if len(cut) != len(shape) or min(cut, default=1) < 1:
        raise ConfigError(f"{what} {cut} do not fit {codecs.called(name)} of shape {shape}")
    return cut
