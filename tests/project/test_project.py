"""The project's files agree with each other."""

from __future__ import annotations

import fnmatch
import os
import re
import tomllib
from importlib import metadata

import pytest

import latrans
from places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_one_version() -> None:
    assert PROJECT["project"]["version"] == latrans.__version__


def test_licence_is_apache_2() -> None:
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert "LICENSE" in PROJECT["project"]["license-files"]
    text = read("LICENSE")
    assert re.match(r"\s*Apache License\s+Version 2\.0, January 2004", text)
    assert "END OF TERMS AND CONDITIONS" in text


def test_dependencies_and_extras() -> None:
    project = PROJECT["project"]
    core = {re.match(r"[\w-]+", entry)[0] for entry in project["dependencies"]}  # type: ignore[index]
    assert core == {"numpy", "numcodecs", "safetensors"}
    extras = {"zarr", "dask", "arrow", "train", "plot", "bench", "test", "all"}
    assert extras <= set(project["optional-dependencies"])


def test_constraints_pin_what_is_asked_for() -> None:
    pins = dict(re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==(\S+)", read("constraints.txt"), re.M))
    pins = {name.lower(): version for name, version in pins.items()}
    assert pins["torch"].startswith("2.13.0")
    entries = [*PROJECT["project"]["dependencies"]]
    for extra in PROJECT["project"]["optional-dependencies"].values():
        entries += extra
    names = {re.match(r"[\w-]+", entry)[0] for entry in entries} - {"latrans"}  # type: ignore[index]
    assert {name for name in names if name.lower() not in pins} == set()


def test_the_wheel_holds_codecs_types_and_pages() -> None:
    build = PROJECT["tool"]["scikit-build"]
    assert build["wheel"]["packages"] == ["src/latrans"]
    pages = ("FORMAT.md", "TERMS.md", "ARCHITECTURE.md", "CHANGELOG.md")
    for name in (*pages, "py.typed"):
        assert (ROOT / "src" / "latrans" / name).is_file(), name
    inside = (*pages, "py.typed", "train/recipes/image.toml", "codecs/image-1")
    for path in (f"latrans/{name}" for name in inside):
        assert not any(fnmatch.fnmatch(path, p) for p in build["wheel"].get("exclude", [])), path
    assert "install(DIRECTORY codecs/ DESTINATION latrans/codecs" in read("CMakeLists.txt")


def test_ci_runs_the_readme_test_command() -> None:
    commands = re.findall(r"^python3 -m venv .*pytest.*$", read("README.md"), re.M)
    assert len(commands) == 1
    assert commands[0] in read(".ci/run").splitlines()
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_entry_points_load() -> None:
    declared = {
        ("console_scripts", "latrans"): "latrans.cli:main",
        ("numcodecs.codecs", "latrans"): "latrans.numcodecs:Latrans",
        ("zarr.codecs", "latrans"): "latrans.zarr:LatransCodec",
        ("zarr.codecs", "numcodecs.latrans"): "latrans.zarr:LatransAdapter",
    }
    for (group, name), value in declared.items():
        (entry,) = metadata.entry_points(group=group, name=name)
        assert entry.value == value
        if group.startswith("zarr"):
            pytest.importorskip("zarr")
        entry.load()
