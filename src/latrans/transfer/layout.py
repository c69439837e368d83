"""Layout: which arrays of a source go through latrans, and how each looks in the target.

In a group latrans takes arrays of integers and floats of at least 64 kB, except coordinates: one
dimensional arrays named like their dimension, and those that a ``coordinates`` attribute names.
Positions must come back exactly, and there is little to gain.  All other arrays are copied, with
the codecs they had where the Zarr format stays the same, else with Zarr's defaults.  `arrays`
names those that latrans takes whatever their size.  An array on its own is always taken.

xarray keeps names of dimensions and fill values in different places in the two formats; they are
moved, so that it opens the target as it opens the source.
"""

from __future__ import annotations

import base64
import math
import re
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr

from ..chunking import default_chunks, model_axes
from ..codec import Codec
from ..config import Configured
from ..errors import ConfigError
from ..numcodecs import Latrans
from ..store import DATA_URI, open_model
from ..zarr import LatransCodec
from ..zarr.models import FOLDER, reference

MIN_NBYTES = 1 << 16
_MAX_INLINE_NBYTES = 1 << 23  # of models in the metadata of a group
_MODEL = re.compile(rf"(?:.*/)?{FOLDER}/[0-9a-f]{{64}}\Z")  # one that is kept beside arrays
_DIMENSIONS = "_ARRAY_DIMENSIONS"
_FILL = "_FillValue"


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
    """

    name: str
    source: Any
    codec: LatransCodec | None
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None
    options: dict[str, Any]

    @property
    def unit(self) -> tuple[int, ...]:
        """Shape of what is written at once: a shard, or a chunk."""
        return self.shards or self.chunks

    def probe(self) -> None:
        """Encode a few samples: what is wrong with a codec shows before anything is written."""
        if self.codec is not None:
            shape = [min(n, 2) for n in self.source.shape]
            self.codec._codec.encode(np.zeros(shape, self.source.dtype))


def configured(codec: Any, model_storage: str = "name") -> LatransCodec:
    """The Zarr codec for a codec of any kind, or for a model.

    A model given by its path is named by its digest: on other machines the path means nothing.
    """
    if isinstance(codec, Configured):
        values: dict[str, Any] = dict(codec.to_mapping())
    elif isinstance(codec, Codec):
        names = ("model", "mode", "max_error", "fill_value", "axes", "quality", "step")
        values = {name: getattr(codec, name) for name in names}
    else:
        values = {"model": codec}
    return LatransCodec(**{**values, "model": reference(values["model"], model_storage)})


def arrays_of(source: Any) -> dict[str, Any]:
    """The arrays of a source by path; one that is an array itself has the path ""."""
    if isinstance(source, zarr.Group):
        members = source.members(max_depth=None)
        return {path: node for path, node in sorted(members) if isinstance(node, zarr.Array)}
    return {"": source}


def chosen(found: Mapping[str, Any], arrays: Collection[str] | None) -> list[str]:
    """Paths of those arrays that latrans takes."""
    if arrays is not None:
        unknown = sorted(set(arrays) - set(found))
        if unknown:
            raise ConfigError(
                f"the source has no array {', '.join(unknown)}; it has {', '.join(sorted(found))}"
            )
        return sorted(arrays)
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
    model_storage: str = "name",
) -> list[Layout]:
    """How every array of a source looks in the target; see `latrans.transfer.transcode`."""
    found = arrays_of(source)
    taken = chosen(found, arrays)
    if not taken and found:
        raise ConfigError(
            "no array of the source is made of integers or floats of at least "
            f"{MIN_NBYTES >> 10} kB: name those that latrans should take with arrays="
        )
    result = []
    for name, array in found.items():
        if name in taken:
            own = configured(_own(codec, name), model_storage)
            result.append(_taken(name, array, own, chunks, shards, zarr_format))
        else:
            result.append(_copied(name, array, zarr_format))
    _refuse_copies(result)
    return result


def _refuse_copies(found: list[Layout]) -> None:
    """Models inline are in consolidated metadata once for each array, and read by whoever opens."""
    inline = [item.codec.model for item in found if item.codec is not None]
    inline = [model for model in inline if model.startswith(DATA_URI)]
    nbytes = sum(map(len, inline))
    if len(inline) > 1 and nbytes > _MAX_INLINE_NBYTES:
        raise ConfigError(
            f"a model inline in {len(inline)} arrays makes {nbytes} bytes of metadata, and "
            f"{_MAX_INLINE_NBYTES} is the most: use model_storage='beside' (--model-storage "
            "beside), which keeps one copy"
        )


def _taken(
    name: str, array: Any, codec: LatransCodec, chunks: Any, shards: Any, zarr_format: int
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
    described = _described(array, zarr_format, codec.fill_value)
    names = described.get("dimension_names") or described["attributes"].get(_DIMENSIONS)
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
        # Zarr drops chunks that equal the fill value, and -0.0 or any NaN may pass for it.
        "config": {"write_empty_chunks": dtype.kind in "fc"},
        **described,
    }
    if zarr_format == 2:
        options |= {"compressors": Latrans.from_mapping(codec.to_mapping()), "filters": None}
    else:
        options |= {"serializer": codec, "compressors": None}
    return Layout(name, array, codec, cut, whole, options)


def _copied(name: str, array: Any, zarr_format: int) -> Layout:
    metadata = array.metadata
    options: dict[str, Any] = {
        "dtype": metadata.data_type if metadata.zarr_format == 3 else metadata.dtype,
        "config": {"write_empty_chunks": True},
        **_described(array, zarr_format, None),
    }
    shards = None
    if metadata.zarr_format == zarr_format:
        options |= {"compressors": array.compressors or None, "filters": array.filters or None}
        if zarr_format == 3:
            options["serializer"] = array.serializer
            shards = array.shards
    chunks = tuple(max(1, n) for n in array.chunks)
    return Layout(name, array, None, chunks, shards, options)


def _described(array: Any, zarr_format: int, fill_value: float | None) -> dict[str, Any]:
    """Fill value, attributes and names of dimensions, where the target's format keeps them."""
    attributes = dict(getattr(array, "attrs", {}))
    metadata = getattr(array, "metadata", None)
    had = getattr(metadata, "zarr_format", zarr_format)
    names = getattr(metadata, "dimension_names", None)
    kept = getattr(array, "fill_value", None)
    dtype = np.dtype(array.dtype)
    if had == 2 and zarr_format == 3 and _DIMENSIONS in attributes:
        names = attributes.pop(_DIMENSIONS)
        if kept is not None and dtype.kind in "biuf" and _FILL not in attributes:
            attributes[_FILL] = _encoded(kept, dtype)
    elif had == 3 and zarr_format == 2 and names is not None:
        attributes[_DIMENSIONS] = list(names)
        # Format 2 has one fill value for both, and xarray takes it for a mark of missing samples.
        kept = _decoded(attributes.pop(_FILL), dtype) if _FILL in attributes else None
    if fill_value is not None:
        kept = dtype.type(fill_value)
    elif kept is None and zarr_format == 3 and dtype.kind in "biufcmM":
        kept = np.zeros((), dtype)[()]
    described = {"fill_value": kept, "attributes": attributes}
    return described if zarr_format == 2 else {**described, "dimension_names": names}


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
    if _MODEL.match(name):
        return False
    if dtype.kind not in "iuf" or math.prod(array.shape) * dtype.itemsize < MIN_NBYTES:
        return False
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get(_DIMENSIONS)
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
