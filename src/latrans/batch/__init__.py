"""Batch: many chunks at a time, whoever asks for them.

`queue` gathers chunks that threads ask for one by one, `batches` spreads a list of them over
threads or a device, `small_chunks` codes those of one small plane in one compiled call, and
`piece_decoder` those like one that has been decoded.  Frames are those of the chunks one by one.
It may import `chunk`, `engine`, `format`, `maps`, `models`, `process`, `residual`, `threads`,
`torch_engine` and `errors`, but nothing that is made for Zarr, Arrow or Dask: those come to it.
"""
