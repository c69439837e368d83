#!/usr/bin/env bash
# zarr 3.1.6: an array that is made smaller and larger again shows values that were cut off.
#
# Expected: after resize((5, 4)) rows 5 and above are gone, and resize((10, 4)) brings them back as
# the fill value, as HDF5 does and as zarr itself does for chunks that lay wholly outside.
# Behaviour: rows 5 to 7 return with their old values, since they share a chunk with row 4, which is
# neither trimmed when the array shrinks nor masked when it grows.  The same inside shards.
# Matters for: recordings that are cut back after a bad append and then appended to by resizing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q zarr==3.1.6 h5py==3.14.0 numpy==2.4.6
"$folder/env/bin/python" - "$folder" <<'PY'
import sys

import h5py
import numpy as np
import zarr

rows = np.repeat(np.arange(10, dtype="i4")[:, None], 4, axis=1)
expected = [0, 1, 2, 3, 4, -1, -1, -1, -1, -1]
seen = [0, 1, 2, 3, 4, 5, 6, 7, -1, -1]

with h5py.File(f"{sys.argv[1]}/a.h5", "w") as file:
    peer = file.create_dataset("a", data=rows, chunks=(4, 4), maxshape=(None, 4), fillvalue=-1)
    peer.resize((5, 4))
    peer.resize((10, 4))
    print("h5py", h5py.__version__, peer[:, 0].tolist())
    assert peer[:, 0].tolist() == expected

for shards in (None, (8, 4)):
    array = zarr.create_array(
        {}, shape=(10, 4), chunks=(4, 4), shards=shards, dtype="i4", fill_value=-1
    )
    array[:] = rows
    array.resize((5, 4))
    array.resize((10, 4))
    print("zarr", zarr.__version__, "shards", shards, array[:, 0].tolist())
    assert array[:, 0].tolist() == seen, "zarr behaves otherwise now: look at this finding again"
PY
