"""latrans for Dask: arrays into latrans and back, and what to learn from them, on any scheduler.

``transcode`` moves what is stored already, ``to_zarr`` writes a dask array, ``from_zarr`` reads
one back.  ``fit`` trains a model on a sample, ``map_latents`` gives latents for clustering and
search, ``scores`` bits per sample of chunks, ``plane_scores`` those of planes, ``likeness`` how
like planes are to those beside them, ``unlike`` which of them are odd.  Each runs on the threaded,
the process and the distributed scheduler.
"""

from __future__ import annotations

from ..errors import TransferError
from ..transfer.summary import Failure, Summary
from .arrays import from_zarr, to_zarr
from .fit import fit
from .latents import map_latents
from .models import ModelPlugin
from .planes import likeness, plane_scores
from .saved_latents import save_latents
from .scores import robust_z, scores
from .transcode import transcode
from .unlike import unlike
from .verify import verify

__all__ = [
    "Failure",
    "ModelPlugin",
    "Summary",
    "TransferError",
    "fit",
    "from_zarr",
    "likeness",
    "map_latents",
    "plane_scores",
    "robust_z",
    "save_latents",
    "scores",
    "to_zarr",
    "transcode",
    "unlike",
    "verify",
]
