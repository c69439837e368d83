"""Rows: back from a folder of Parquet parts, a row per item, to the Zarr array that they hold."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import zarr
from zarr.storage import StorePath

from ..arrow import folders
from ..transfer import progress
from ..transfer.codecs import configured


def array_of(
    source: str,
    place: StorePath,
    codec: Any,
    *,
    chunks: Any = None,
    model_storage: str | None = None,
    overwrite: bool = False,
) -> tuple[zarr.Array[Any], list[Callable[[], Any]]]:
    """Begin the array of a folder.

    Parameters
    ----------
    source : str
        The folder, as `latrans.arrow.folders` has written it.
    place : StorePath
    codec
        As `latrans.transfer.transcode` takes it.
    chunks : sequence of int, optional
        Those that the folder tells of by default; parts never share one.
    model_storage, overwrite
        As for `latrans.transfer.transcode`.

    Returns
    -------
    array : zarr.Array
        Which says that it is incomplete; `latrans.transfer.progress.finished` takes that off.
    tasks : list of callable
        One for each part, in any order; the same call begins an unfinished array anew.
    """
    folder = folders.open_folder(source)
    cut: Any = chunks or folder.chunks
    if cut in (None, "source") or folder.part_rows % cut[0]:
        cut = (folder.part_rows, *folder.shape[1:])
    serializer = configured(codec, model_storage)[0]
    asked = {"rows": source, "codec": serializer.to_mapping(), "chunks": cut}
    mark = progress.marker(progress.identity(asked))
    array = zarr.create_array(
        place,
        shape=folder.shape,
        dtype=np.dtype(folder.dtype),
        chunks=tuple(cut),
        serializer=serializer,
        compressors=None,
        attributes={**folder.attributes, **mark},
        dimension_names=folder.dimension_names,
        overwrite=overwrite or progress.is_begun(place, mark),
    )
    return array, [functools.partial(folders.copy_part, folder, array, i) for i in folder.starts]
