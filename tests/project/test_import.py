"""What importing latrans, and coding with it, loads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "zarr", "dask", "pyarrow", "matplotlib", "rich")


def loaded(program: str, *packages: str) -> list[str]:
    """Which of the packages a fresh interpreter has loaded after running the program."""
    report = f"""
import json, sys
print(json.dumps(sorted(p for p in {packages!r} if p in sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program + report], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_import_is_light() -> None:
    assert loaded("import latrans", *HEAVY, "numcodecs", "numpy", "safetensors") == []


def test_coding_loads_nothing_heavy() -> None:
    program = """
import numpy as np, latrans
array = (np.arange(600).reshape(20, 30) % 251).astype(np.uint8)
for model in ("image-1", "series-1", "field-1"):
    frame = latrans.encode(array, model=model)
    assert (latrans.decode(frame) == array).all()
codec = latrans.Codec("digits-1", "lossy")
frame = codec.encode(np.zeros((2, 28, 28), np.uint8))
codec.preview(frame), codec.decode(frame), latrans.inspect(frame)
latrans.encode(array.astype("f8"))
"""
    assert loaded(program, *HEAVY) == []


@pytest.mark.parametrize("statement", ["latrans.Codec()", "import latrans.numcodecs"])
@pytest.mark.parametrize("version", ["1.0.1.post0", "1.0.2"])
def test_a_package_that_breaks_numcodecs_is_named(
    tmp_path: Path, version: str, statement: str
) -> None:
    # Of the first numcodecs cannot read the version, the second fails itself.
    (tmp_path / "zfpy.py").write_text("raise ValueError('numpy.dtype size changed')\n")
    about = tmp_path / f"zfpy-{version}.dist-info" / "METADATA"
    about.parent.mkdir()
    about.write_text(f"Metadata-Version: 2.1\nName: zfpy\nVersion: {version}\n")
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import latrans
from latrans.errors import DependencyError, LatransError
try:
    {statement}
except DependencyError as error:
    assert isinstance(error, ImportError) and isinstance(error, LatransError)
    text = str(error)
else:
    text = "no error"
assert "because of zfpy {version}, " in text, text
assert "(ValueError: " in text and "pip uninstall zfpy" in text, text
"""
    assert loaded(program, "zfpy") == []


def test_the_command_line_starts_light() -> None:
    assert loaded("import latrans.cli", *HEAVY) == []


def test_reading_zarr_loads_no_torch(tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    program = f"""
import numpy as np, zarr
from latrans.zarr import LatransCodec
array = np.arange(600, dtype=np.uint16).reshape(20, 30)
zarr.create_array({str(tmp_path / "a.zarr")!r}, data=array, serializer=LatransCodec(),
                  compressors=None)
assert (zarr.open_array({str(tmp_path / "a.zarr")!r}, mode="r")[...] == array).all()
"""
    assert loaded(program, "torch", "dask", "pyarrow") == []


def test_tables_load_nothing_beside_pyarrow(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    program = f"""
import numpy as np, pyarrow as pa, latrans.arrow as la
rows = np.arange(600, dtype=np.uint16).reshape(2, 15, 20)
table = pa.table({{"a": pa.FixedShapeTensorArray.from_numpy_ndarray(rows)}})
la.write_parquet(table, {str(tmp_path / "a.parquet")!r}, {{"a": "image-1"}})
assert la.read_parquet({str(tmp_path / "a.parquet")!r}) == table
"""
    assert loaded(program, "torch", "zarr", "dask", "polars", "duckdb", "fsspec") == []
