"""latrans for Zarr: the codec, and stores that carry their model.

    latrans.zarr.create(...)    an array whose chunks suit the model
    latrans.zarr.open(...)      an array or group, models that are kept beside it included
    latrans.zarr.LatransCodec   the serializer, for `zarr.create_array` and whoever calls it
    latrans.zarr.LatransAdapter stores of format 2 under metadata of format 3
    latrans.zarr.batch_sizes()  how many chunks reach the engine at once

Inside this package ``zarr`` is the library, as everywhere.
"""

from .adapter import LatransAdapter
from .arrays import create
from .batching import BatchSizes, batch_sizes
from .codec import LatransCodec
from .opening import open

__all__ = ["BatchSizes", "LatransAdapter", "LatransCodec", "batch_sizes", "create", "open"]
