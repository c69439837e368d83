"""Chunk: one array through axes, maps, networks and residual coder, and back.

An array and a `encode.Task` come in, a frame's sections go out; `decode` walks the same path back.
Which model, axes and map suit is chosen here as well.  It may import `coding`, `engine`, `format`,
`maps`, `missing`, `models`, `residual`, `transform` and `errors`, but neither batches nor what is
made for Zarr, Arrow or Dask.
"""
