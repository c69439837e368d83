#!/usr/bin/env bash
# zarr 3.1.6: writing the fill value over a chunk in a ZipStore raises an error without a text.
#
# Expected: the chunk reads as the fill value afterwards (an explicit chunk of it could be written, as
# with write_empty_chunks), or an error that says that entries of a ZIP file cannot be deleted.
# Behaviour: NotImplementedError with an empty message, depending on the values: any other value can
# be written over the same chunk.  Zarr drops chunks of nothing but the fill value by deleting them.
# Matters for: masks and sparse arrays updated in a ZIP archive; the error appears late, at the first
# chunk that becomes empty, with chunks before it written already.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q zarr==3.1.6 numpy==2.4.6
"$folder/env/bin/python" -W ignore - "$folder" <<'PY'
import sys

import zarr

store = zarr.storage.ZipStore(f"{sys.argv[1]}/a.zip", mode="w")
array = zarr.create_array(store, shape=(8,), chunks=(4,), dtype="i4")
array[:] = 1
array[:4] = 2  # another value over the same chunk is accepted
try:
    array[:4] = 0
except NotImplementedError as error:
    print("zarr", zarr.__version__, "values:", array[:].tolist(), "error:", repr(error))
    assert str(error) == "", "the error has a text now: look at this finding again"
    assert array[:].tolist() == [2, 2, 2, 2, 1, 1, 1, 1]
else:
    sys.exit("zarr writes the fill value into a ZipStore now: look at this finding again")
store.close()
PY
