#!/usr/bin/env bash
# zarr 3.1.6: an array in Fortran order, written through the numcodecs.delta filter, reads back wrong.
#
# Expected: the values that were written, as for the same values in C order, and as the filter is
# lossless.
# Behaviour: the array in memory is contiguous, only in the other order; the filter flattens it as it
# lies, and Zarr lays what comes out in C order.  No error; every value but a few is another one.
# zarr 3.4.2 is right, but needs Python 3.12: with Python 3.11 pip installs 3.1.6.
# Matters for: arrays from Fortran codes, MATLAB files, NIfTI images and transposed views.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q zarr==3.1.6 numcodecs==0.16.5 numpy==2.4.6
"$folder/env/bin/python" -W ignore - <<'PY'
import numpy as np
import zarr
from zarr.codecs.numcodecs import Delta

values = np.arange(12, dtype="i4").reshape(3, 4) * np.array([1, 7, 2, 9], "i4")
back = {}
for order in "CF":
    array = zarr.create_array(
        {}, shape=(3, 4), dtype="i4", chunks=(3, 4), filters=[Delta(dtype="i4")], compressors=None
    )
    array[:] = np.asarray(values, order=order)
    back[order] = array[:]
    print("zarr", zarr.__version__, order, "order:", values.tolist(), "->", array[:].tolist())
assert np.array_equal(back["C"], values)
assert not np.array_equal(back["F"], values), "zarr is right now: look at this finding again"
PY
