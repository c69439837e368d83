"""Chunk: one array through axes, maps, networks and residual coder, and back.

An array and a `encode.Task` come in, a frame's sections go out; `decode` walks the same path back.
Which model, axes and map suit is chosen here as well.  It may import all stages of the data path,
but neither batches nor what is made for Zarr, Arrow or Dask.
"""
