#!/usr/bin/env bash
# safetensors 0.8.0, safetensors.numpy: arrays that are not in C order come back with other values.
#
# Expected: save({"w": array}) and load() give the array back, or an error as safetensors.torch
# raises for tensors that are not contiguous.
# Behaviour: the bytes are taken in the order in which they lie in memory and written under the
# logical shape: a Fortran-ordered or transposed array comes back permuted, without a word.
# Matters for: weights taken from a transposed layer or a Fortran-ordered solver's result; whoever
# saves should call numpy.ascontiguousarray first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q safetensors==0.8.0 numpy==2.4.6
"$folder/env/bin/python" - <<'PY'
import numpy as np
import safetensors
from safetensors.numpy import load, save

matrix = np.arange(6, dtype="f4").reshape(2, 3)
for label, array in {"Fortran order": np.asfortranarray(matrix), "transposed": matrix.T}.items():
    back = load(save({"w": array}))["w"]
    print("safetensors", safetensors.__version__, label, array.tolist(), "->", back.tolist())
    assert back.shape == array.shape
    assert not np.array_equal(back, array), "values are kept now: look at this finding again"
assert np.array_equal(load(save({"w": np.ascontiguousarray(matrix.T)}))["w"], matrix.T)
PY
