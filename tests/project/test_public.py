"""What people see of the package: completion, help, types."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from test_import import loaded

import latrans

API = {
    "Codec", "FrameInfo", "Model", "decode", "encode", "engine", "errors", "fit", "inspect",
    "open_model",
}  # fmt: skip


def test_completion_offers_the_api_and_nothing_else() -> None:
    program = """
import latrans, rlcompleter
completer, found = rlcompleter.Completer({"latrans": latrans}), []
while (name := completer.complete("latrans.", len(found))) is not None:
    found.append(name)
names = {name.removeprefix("latrans.").rstrip("()") for name in found}
assert names == set(latrans.__all__) - {"__version__"}, names
"""
    assert loaded(program, "torch", "zarr", "dask", "pyarrow", "matplotlib") == []
    assert {name for name in latrans.__all__ if name[0] != "_"} == API
    public = {name for name in dir(latrans) if name[0] != "_"}
    assert API <= public <= API | set(latrans._MODULES)


def test_everything_that_is_offered_is_there() -> None:
    for name in latrans.__all__:
        assert getattr(latrans, name) is not None


@pytest.mark.parametrize("module", ["arrow", "dask", "rivals", "train", "transfer", "zarr"])
def test_everything_that_a_module_offers_is_there(module: str) -> None:
    pytest.importorskip({"arrow": "pyarrow", "train": "torch"}.get(module, "zarr"))
    if module == "dask":
        pytest.importorskip("dask.array")
    offered = importlib.import_module(f"latrans.{module}")
    assert [name for name in offered.__all__ if not hasattr(offered, name)] == []
    with pytest.raises(AttributeError, match="no attribute 'Codek'"):
        latrans.Codek  # noqa: B018


def test_help_lists_the_classes_and_needs_no_torch() -> None:
    program = """
import sys
sys.modules["torch"] = None
import latrans, pydoc
text = pydoc.plain(pydoc.render_doc(latrans))
for line in ("class Codec(", "class FrameInfo(", "class Model(", "fit(data", "open_model(source"):
    assert line in text, line
try:
    latrans.fit([])
except ModuleNotFoundError as error:
    assert "latrans[train]" in str(error)
del sys.modules["torch"]
"""
    assert loaded(program, "torch") == []


USER = """
from pathlib import Path

import numpy as np

import latrans
from latrans.numcodecs import Latrans
from latrans.zarr import LatransCodec, create

codec = latrans.Codec(Path("mine.safetensors"), mode="bounded", max_error=0.5, axes="yx")
frame: bytes = codec.encode(np.zeros((8, 8), np.float32))
shape: tuple[int, ...] = latrans.inspect(frame).shape
name: str = latrans.open_model("image-1").name
serializer, compressor = LatransCodec(model="image-1"), Latrans("image-1")
array = create({}, data=np.zeros((8, 8)), model="image-1")
model: latrans.Model = latrans.fit(np.zeros((8, 8)), "field", steps=3)
wrong: int = frame
latrans.Codec(modell="image-1")
latrans.encod(np.zeros(3))
latrans.open_model(3)
"""


def test_type_checkers_see_the_types(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    package = Path(latrans.__file__).parent
    assert (package / "py.typed").is_file()
    (tmp_path / "user.py").write_text(textwrap.dedent(USER))
    (tmp_path / "mypy.ini").write_text("[mypy]\n")
    environment = {} if "site-packages" in package.parts else {"MYPYPATH": str(package.parent)}
    done = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent",
            "--config-file", "mypy.ini", "--cache-dir", str(tmp_path / "cache"), "user.py",
        ],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, **environment},
    )  # fmt: skip
    lines = USER.splitlines()
    found = re.findall(r"^user.py:(\d+): error: .*\[([\w-]+)\]$", done.stdout, re.M)
    expected = [(lines.index(line) + 1, kind) for line, kind in (
        ("wrong: int = frame", "assignment"),
        ('latrans.Codec(modell="image-1")', "call-arg"),
        ("latrans.encod(np.zeros(3))", "attr-defined"),
        ("latrans.open_model(3)", "arg-type"),
    )]  # fmt: skip
    assert [(int(line), kind) for line, kind in found] == expected, done.stdout + done.stderr
