"""latrans for Dask: arrays into latrans and back, on one machine and on clusters.

``transcode`` moves what is stored already, ``to_zarr`` writes a dask array, ``from_zarr`` reads
one back.  Each runs on the threaded, the process and the distributed scheduler.
"""

from __future__ import annotations

from ..errors import TransferError
from ..transfer.summary import Failure, Summary
from .arrays import from_zarr, to_zarr
from .models import ModelPlugin
from .transcode import transcode

__all__ = [
    "Failure",
    "ModelPlugin",
    "Summary",
    "TransferError",
    "from_zarr",
    "to_zarr",
    "transcode",
]
