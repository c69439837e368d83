"""Layout: which arrays of a source go through latrans, and how each looks in the target.

In a group latrans takes arrays of integers and floats of at least 64 kB, except coordinates: one
dimensional arrays named like their dimension, and those that a ``coordinates`` attribute names.
Positions must come back exactly, and there is little to gain.  All other arrays are copied, with
the codecs they had where the Zarr format stays the same, else with Zarr's defaults.  `arrays`, or
codecs that are given by path, name those that latrans takes whatever their size.  An array on its
own is always taken.

Names, flags and indices are stored losslessly beside arrays within a bound, see `exact`, unless
they are named.  What arrays declare as missing is made known to codecs that are not lossless.

xarray keeps names of dimensions and fill values in different places in the two formats; they are
moved, so that it opens the target as it opens the source.  So are the metadata of OME-Zarr.  What
has no names of dimensions gets those of its axes, where they are known or given.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import zarr

from ..chunking import default_chunks, model_axes
from ..codec import Codec
from ..config import Configured
from ..conventions import DIMENSIONS, FILL, declared, declared_by
from ..errors import ConfigError
from ..frames import configuration
from ..missing import Missing, as_values
from ..numcodecs import Latrans
from ..ranges import known_range, refuse_large
from ..store import DATA_URI, open_model
from ..zarr import LatransCodec
from ..zarr.models import is_model, reference, storage_of
from . import dimensions, exact, ome, settings

MIN_NBYTES = 1 << 16
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


def configured(
    codec: Any, model_storage: str | None = None, has_group: bool = False
) -> tuple[LatransCodec, str]:
    """The Zarr codec for a codec of any kind, or for a model, and how its model is kept.

    A model given by its path is named by its digest: on other machines the path means nothing.
    """
    if isinstance(codec, Configured):
        values: dict[str, Any] = dict(codec.to_mapping())
    elif isinstance(codec, Codec):
        values = {field.name: getattr(codec, field.name) for field in fields(Configured)}
    else:
        values = {"model": codec}
    storage = storage_of(values["model"], model_storage, has_group)
    return LatransCodec(**{**values, "model": reference(values["model"], storage)}), storage


def arrays_of(source: Any) -> dict[str, Any]:
    """The arrays of a source by path; one that is an array itself has the path ""."""
    if isinstance(source, zarr.Group):
        members = source.members(max_depth=None)
        return {path: node for path, node in sorted(members) if isinstance(node, zarr.Array)}
    return {"": source}


def groups_of(source: Any) -> dict[str, Any]:
    """The groups of a source by path, itself included; none of one that is an array."""
    if not isinstance(source, zarr.Group):
        return {}
    members = source.members(max_depth=None)
    found = {path: node for path, node in members if isinstance(node, zarr.Group)}
    return {"": source, **dict(sorted(found.items()))}


def chosen(found: Mapping[str, Any], arrays: Collection[str] | None) -> list[str]:
    """Paths of those arrays that latrans takes."""
    if arrays is not None:
        return sorted(settings.paths("arrays", arrays, found))
    if set(found) == {""}:
        return [""]
    named = _named_as_coordinates(found)
    return [name for name, array in found.items() if name not in named and _is_data(name, array)]


def layouts(
    source: Any,
    codec: Any,
    arrays: Collection[str] | None,
    chunks: Any,
    shards: Any,
    zarr_format: int,
    model_storage: str | None = None,
) -> list[Layout]:
    """How every array of a source looks in the target; see `latrans.transfer.transcode`."""
    found = arrays_of(source)
    codec = settings.by_path("codec", codec, found)
    if arrays is None and isinstance(codec, Mapping):
        arrays = list(codec)
    taken = chosen(found, arrays)
    if isinstance(codec, Mapping) and not set(taken) <= set(codec):
        unnamed = ", ".join(sorted(set(taken) - set(codec)))
        raise ConfigError(f"codec= has none for {unnamed}, which arrays= names: name it there, too")
    chunks = settings.by_path("chunks", chunks, found)
    shards = settings.by_path("shards", shards, found)
    for what, setting in (("codec", codec), ("chunks", chunks), ("shards", shards)):
        settings.only_for(what, setting, taken)
    groups = {path: dict(group.attrs) for path, group in groups_of(source).items()}
    axes = ome.dimension_names(groups)
    if not taken and found:
        raise ConfigError(
            "no array of the source is made of integers or floats of at least "
            f"{MIN_NBYTES >> 10} kB: name those that latrans should take with arrays="
        )
    kept = exact_arrays(source)
    named = set(arrays or ()) | (set(codec) if isinstance(codec, Mapping) else set())
    result = []
    for name, array in found.items():
        if name not in taken:
            result.append(_copied(name, array, zarr_format, axes.get(name)))
            continue
        own, storage = configured(_own(codec, name), model_storage, bool(name))
        if own.mode != "lossless" and name in kept and name not in named:
            lossless = _lossless(own)
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
        if model_storage is None:
            return layouts(source, codec, arrays, chunks, shards, zarr_format, "beside")
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


def exact_arrays(source: Any) -> dict[str, str]:
    """Paths of those arrays of a group that are names, flags, indices or positions, and which."""
    groups = {path: dict(group.attrs) for path, group in groups_of(source).items()}
    return exact.reasons(arrays_of(source), groups) if groups else {}


def missing_of(array: Any, codec: Configured) -> Missing | None:
    """What is missing in an array, by what a codec was told and by what the array declares."""
    told, found = Missing.of(codec.fill_value, codec.valid_range), declared(array)
    return found if told is None else told.joined(found)


def _lossless(codec: LatransCodec) -> LatransCodec | None:
    """The same codec without loss; None where its model can do nothing else."""
    if codec.model != "auto" and open_model(codec.model).lossy_only:
        return None
    return LatransCodec(codec.model, axes=codec.axes)


def _informed(name: str, array: Any, codec: LatransCodec) -> LatransCodec:
    """The codec with all that is missing in the array, in modes that would move it."""
    missing = missing_of(array, codec)
    refuse_large(codec.max_error, known_range(array, missing), _called(name))
    if missing is None:
        return codec
    told = {"fill_value": missing.values or None, "valid_range": missing.ranges or None}
    return LatransCodec.from_mapping({**codec.to_mapping(), **told})


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
        raise ConfigError(f"{_called(name)} has dtype {dtype}: latrans stores numbers")
    if codec.axes is not None and len(codec.axes) != len(shape):
        raise ConfigError(
            f"axes {codec.axes!r} names {len(codec.axes)} dimensions, {_called(name)} has "
            f"{len(shape)}: give codec={{name: codec}}, or leave axes out"
        )
    described = _described(array, zarr_format, _mark(name, codec, dtype))
    if codec.mode != "lossless":
        codec = _informed(name, array, codec)
    names = _name_dimensions(described, len(shape), zarr_format, image_axes, codec.axes)
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
            raise ConfigError(f"shards {whole} are no multiple of chunks {cut}")
    options: dict[str, Any] = {
        "dtype": array.dtype,
        **described,
        **_chunk_names(array, zarr_format, image_axes),
    }
    if zarr_format == 2:
        options |= {"compressors": Latrans.from_mapping(codec.to_mapping()), "filters": None}
    else:
        options |= {"serializer": codec, "compressors": None}
    return Layout(name, array, codec, cut, whole, options)


def _mark(name: str, codec: LatransCodec, dtype: np.dtype[Any]) -> Any:
    """The first fill value of a codec that the dtype can hold; of a group, some hold none."""
    marks = as_values(codec.fill_value)
    if not marks or dtype.kind not in "iuf":
        return dtype.type(marks[0]) if marks else None
    held = Missing(marks).values_as(dtype)
    if not held and not name:
        raise ConfigError(
            f"fill_value {marks[0]} is no value that {_called(name)} of dtype {dtype} can hold"
        )
    return held[0] if held else None


def _copied(name: str, array: Any, zarr_format: int, image_axes: dimensions.Names | None) -> Layout:
    metadata = array.metadata
    described = _described(array, zarr_format, None)
    _name_dimensions(described, array.ndim, zarr_format, image_axes)
    options: dict[str, Any] = {
        "dtype": metadata.data_type if metadata.zarr_format == 3 else metadata.dtype,
        **described,
        **_chunk_names(array, zarr_format, image_axes),
    }
    shards = None
    if metadata.zarr_format == zarr_format:
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


def _described(array: Any, zarr_format: int, fill_value: Any) -> dict[str, Any]:
    """Fill value, attributes and names of dimensions, where the target's format keeps them."""
    attributes = dict(getattr(array, "attrs", {}))
    metadata = getattr(array, "metadata", None)
    had = getattr(metadata, "zarr_format", zarr_format)
    names = getattr(metadata, "dimension_names", None)
    kept = getattr(array, "fill_value", None)
    dtype = np.dtype(array.dtype)
    if had == 2 and zarr_format == 3 and DIMENSIONS in attributes:
        names = attributes.pop(DIMENSIONS)
        if kept is not None and dtype.kind in "biuf" and FILL not in attributes:
            attributes[FILL] = _encoded(kept, dtype)
    elif had == 3 and zarr_format == 2 and names is not None:
        attributes[DIMENSIONS] = list(names)
        # Format 2 has one fill value for both, and xarray takes it for a mark of missing samples.
        kept = _decoded(attributes.pop(FILL), dtype) if FILL in attributes else None
    if fill_value is not None and declared_by({}, dtype, kept, chosen=False) is None:
        kept = fill_value
    elif kept is None and zarr_format == 3 and dtype.kind in "biufcmM":
        kept = np.zeros((), dtype)[()]
    described = {"fill_value": kept, "attributes": attributes}
    return described if zarr_format == 2 else {**described, "dimension_names": names}


def _name_dimensions(
    described: dict[str, Any],
    n_dims: int,
    zarr_format: int,
    image_axes: dimensions.Names | None,
    axes: str | None = None,
) -> dimensions.Names | None:
    """Complete the names of dimensions of a target where its format has them; returns all that are
    known, of an image's axes, too."""
    attributes = described["attributes"]
    if zarr_format == 3:
        own, given = described["dimension_names"], dimensions.of_axes(axes)
        described["dimension_names"] = dimensions.completed(n_dims, own, image_axes, given)
        return described["dimension_names"]
    own = attributes.get(DIMENSIONS)
    known = dimensions.completed(n_dims, own, image_axes, dimensions.of_axes(axes))
    # Format 2 has them as an attribute for xarray, which takes all or none; OME-Zarr has its own.
    if own is None or None in own:
        attributes.pop(DIMENSIONS, None)
        if known is not None and None not in known and not image_axes:
            attributes[DIMENSIONS] = list(known)
    return known


def _chunk_names(
    array: Any, zarr_format: int, image_axes: dimensions.Names | None
) -> dict[str, Any]:
    """How keys of chunks are written in format 2: as in the source, in folders in images."""
    if zarr_format == 3:
        return {}
    kept = getattr(getattr(array, "metadata", None), "dimension_separator", ".")
    return {"chunk_key_encoding": {"name": "v2", "separator": "/" if image_axes else kept}}


def _encoded(value: Any, dtype: np.dtype[Any]) -> Any:
    """A fill value as xarray writes it into the attributes of format 3."""
    if dtype.kind == "f":
        return base64.standard_b64encode(struct.pack("<d", float(value))).decode()
    return bool(value) if dtype.kind == "b" else int(value)


def _decoded(value: Any, dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "f" and isinstance(value, str):
        (number,) = struct.unpack("<d", base64.standard_b64decode(value))
        return dtype.type(number)
    return value


def _named_as_coordinates(found: Mapping[str, Any]) -> set[str]:
    named = set()
    for name, array in found.items():
        folder = name.rpartition("/")[0]
        for other in str(array.attrs.get("coordinates", "")).split():
            named.add(f"{folder}/{other}" if folder else other)
    return named


def _is_data(name: str, array: Any) -> bool:
    dtype = np.dtype(array.dtype)
    if is_model(name):
        return False
    if dtype.kind not in "iuf" or math.prod(array.shape) * dtype.itemsize < MIN_NBYTES:
        return False
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get(DIMENSIONS)
    return not (array.ndim == 1 and names and names[0] == name.rpartition("/")[2])


def _own(setting: Any, name: str) -> Any:
    """What a setting says for one array, where it is given by name."""
    return setting.get(name) if isinstance(setting, Mapping) else setting


def _checked_shape(what: str, given: Any, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    cut = tuple(int(n) for n in given)
    if len(cut) != len(shape) or min(cut, default=1) < 1:
        raise ConfigError(f"{what} {cut} do not fit {_called(name)} of shape {shape}")
    return cut


def _called(name: str) -> str:
    return f"array {name!r}" if name else "an array"
