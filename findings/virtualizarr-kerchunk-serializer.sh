#!/usr/bin/env bash
# VirtualiZarr 2.8.0: to_kerchunk() of a Zarr format 3 array forgets how its chunks are encoded.
#
# Expected: references that a reader can decode, or an error that says that format 2 metadata, the
# default, has no place for this array-to-bytes codec.  It could name the numcodecs codec that
# zarr.codecs.numcodecs.PCodec stands for as compressor, too.
# Behaviour: the references say "compressor": null, "filters": null.  No error when they are written;
# whoever reads them is told of a wrong size, or given the compressed bytes as samples where sizes fit.
# With zarr_format=3 the codec is kept.
# Matters for: virtual collections of arrays stored by any array-to-bytes codec but "bytes".
# VirtualiZarr 2.8 needs Python 3.12.
set -euo pipefail
python=$(command -v python3.13 || command -v python3.12 || true)
[ -n "$python" ] || { echo "needs python3.12 or python3.13 on PATH" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/env"
"$folder/env/bin/pip" install -q virtualizarr==2.8.0 zarr==3.4.2 numcodecs==0.17.1 pcodec==1.1.0 \
    kerchunk==0.2.10 obstore==0.12.1 obspec-utils==0.9.0 arro3-core numpy==2.5.5
"$folder/env/bin/python" -W ignore - "$folder" <<'PY'
import json
import sys

import numpy as np
import virtualizarr
import zarr
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import LocalStore
from virtualizarr.parsers import ZarrParser
from zarr.codecs.numcodecs import PCodec

path = f"{sys.argv[1]}/a.zarr"
values = np.random.default_rng(0).normal(size=(32, 32)).cumsum(0).astype("f4")
zarr.open_group(path, mode="w").create_array(
    "a", data=values, chunks=(16, 32), serializer=PCodec(level=8), compressors=None,
    dimension_names=["y", "x"],
)
registry = ObjectStoreRegistry({"file://": LocalStore()})
dataset = virtualizarr.open_virtual_dataset(f"file://{path}", registry=registry, parser=ZarrParser())
print("virtualizarr", virtualizarr.__version__)
print("codecs before:", [codec.to_dict()["name"] for codec in dataset.a.data.metadata.codecs])
older = json.loads(dataset.vz.to_kerchunk(format="dict")["refs"]["a/.zarray"])
print("format 2:", {key: older[key] for key in ("compressor", "filters")})
newer = json.loads(dataset.vz.to_kerchunk(format="dict", zarr_format=3)["refs"]["a/zarr.json"])
print("format 3:", [codec["name"] for codec in newer["codecs"]])
assert older["compressor"] is None and older["filters"] is None, "kept now: look at this finding again"
assert [codec["name"] for codec in newer["codecs"]] == ["numcodecs.pcodec"]
PY
