"""latrans for Dask: arrays into latrans and back, and what to learn from them, on any scheduler.

``transcode`` moves what is stored already, ``to_zarr`` writes a dask array, ``from_zarr`` reads
one back.  ``fit`` trains a model on a sample, ``map_latents`` gives latents for clustering and
search, ``scores`` bits per sample of chunks.  Each runs on the threaded, the process and the
distributed scheduler.
"""

from __future__ import annotations

from ..errors import TransferError
from ..transfer.summary import Failure, Summary
from .arrays import from_zarr, to_zarr
from .fit import fit
from .latents import map_latents, save_latents
from .models import ModelPlugin
from .scores import robust_z, scores
from .transcode import transcode
from .verify import verify

__all__ = [
    "Failure",
    "ModelPlugin",
    "Summary",
    "TransferError",
    "fit",
    "from_zarr",
    "map_latents",
    "robust_z",
    "save_latents",
    "scores",
    "to_zarr",
    "transcode",
    "verify",
]
