#!/usr/bin/env bash
# xarray 2026.9.0 with zarr 3.1.6: an append that is refused leaves a store that nobody can open.
#
# Expected: to_zarr(append_dim="t") that raises ValueError before any value is written leaves the
# store as it was.
# Behaviour: "Specified Zarr chunks ... would overlap multiple Dask chunks" is raised per variable,
# after the array of the first one has been enlarged.  The variables then disagree about the length
# of "t": open_zarr raises "conflicting sizes", and every later append does, too, even a right one.
# Matters for: operational archives that grow by appends; repairing one takes zarr's own resize().
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q xarray==2026.9.0 zarr==3.1.6 'dask[array]==2026.8.0' numpy==2.4.6
"$folder/env/bin/python" -W ignore - "$folder" <<'PY'
import sys

import dask.array
import numpy as np
import xarray
import zarr

path = f"{sys.argv[1]}/a.zarr"


def dataset(n, make):
    return xarray.Dataset({name: (("t", "x"), make((n, 6))) for name in ("a", "b")})


def lengths():
    return {name: array.shape[0] for name, array in sorted(zarr.open_group(path).arrays())}


whole = {name: {"chunks": (4, 6)} for name in ("a", "b")}
dataset(4, np.zeros).to_zarr(path, consolidated=False, encoding=whole)
refused = dataset(6, lambda shape: dask.array.ones(shape, chunks=(3, 6)))
try:
    refused.to_zarr(path, append_dim="t", consolidated=False)
except ValueError as error:
    print("xarray", xarray.__version__, "refuses:", str(error)[:78], "...")
print("lengths of t afterwards:", lengths())
assert sorted(lengths().values()) == [4, 10], "the store is left alone: look at this finding again"

for label, attempt in {
    "open_zarr": lambda: xarray.open_zarr(path, consolidated=False),
    "a right append": lambda: dataset(4, np.ones).to_zarr(path, append_dim="t", consolidated=False),
}.items():
    try:
        attempt()
    except ValueError as error:
        print(f"{label}: {type(error).__name__}: {str(error)[:90]}")
    else:
        sys.exit(f"{label} works now: look at this finding again")
PY
