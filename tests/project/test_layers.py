"""Who may import whom, read from the source: the layers of the library stay apart."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from places import ROOT

LIBRARY = ROOT / "src" / "latrans"
MODULES = sorted(LIBRARY.rglob("*.py"))

# Heavy packages, and the modules of the library (or folders of them) that may import each.
HOMES = {
    "torch": ("train", "tensors"),
    "triton": ("tensors.kernel", "tensors.kernel_parts"),
    # Training reads Zarr arrays, too; `frames` and `sizes` are about those that are stored.
    "zarr": ("zarr", "cli", "transfer", "dask", "frames", "sizes", "train.files"),
    "dask": ("dask",),
    "distributed": ("dask",),
    "pyarrow": ("arrow", "rivals.parquet"),
    "fsspec": ("arrow.files",),
    "tifffile": ("transfer.tiff",),
    "imageio": ("transfer.images",),
    "pandas": (),
    "polars": (),
    "duckdb": (),
    "rich": ("bar", "train"),
    "matplotlib": ("cli",),
}
APART = ("engine", "entropy", "frame", "field")  # only what is above them joins them


def name_of(path: Path) -> str:
    """Module name inside the library: "codec", "train.recipe", "train" for its __init__."""
    parts = path.relative_to(LIBRARY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Absolute names of all that a module imports, at its top or inside functions."""
    package = ("latrans", *path.relative_to(LIBRARY).parent.parts)
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*above, *([node.module] if node.module else [])))
            # `from . import frame` names a module, `from .frame import Frame` what is in one.
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def belongs(module: str, homes: tuple[str, ...]) -> bool:
    return any(module == home or module.startswith(home + ".") for home in homes)


IMPORTS = {name_of(path): imports(path) for path in MODULES}


def test_the_modules_were_found() -> None:
    assert {"", "codec", "frame", "engine", "train.recipe", "cli.compress"} <= set(IMPORTS)
    assert "latrans.errors" in IMPORTS["cli.compress"]
    assert "latrans.models.store.list_models" in IMPORTS["cli.models"]


@pytest.mark.parametrize("package", HOMES)
def test_heavy_packages_stay_in_their_place(package: str) -> None:
    users = {name for name, found in IMPORTS.items() if belongs_to_any(found, package)}
    assert {name for name in users if not belongs(name, HOMES[package])} == set()


def belongs_to_any(found: set[str], package: str) -> bool:
    return any(belongs(name, (package,)) for name in found)


@pytest.mark.parametrize("layer", APART)
def test_the_lowest_layers_do_not_know_each_other(layer: str) -> None:
    others = tuple(f"latrans.{other}" for other in APART if other != layer)
    known = {
        (name, other)
        for name, found in IMPORTS.items()
        if belongs(name, (layer,))
        for other in found
        if belongs(other, others)
    }
    assert known == set()


def test_only_the_command_line_and_fit_import_training() -> None:
    users = {name for name, found in IMPORTS.items() if belongs_to_any(found, "latrans.train")}
    # The command line reaches it through `latrans.fit`, which __init__ loads when asked for, and
    # the pipelines through `latrans.dask.fit`; __init__ names it for type checkers.
    homes = ("", "cli", "train", "dask.fit")
    assert {name for name in users if not belongs(name, homes)} == set()


def test_nothing_in_the_library_imports_a_pipeline() -> None:
    jobs = {path.stem for path in (ROOT / "pipelines").glob("*.py")}
    for path in (ROOT / "pipelines").glob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        found = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
        # Jobs are calls of the library: they know nothing below it, and not each other.
        assert {name.partition(".")[0] for name in found} <= {"__future__", "contextlib", "latrans"}
    assert {"train", "latents"} <= jobs
    assert not any(belongs_to_any(found, "pipelines") for found in IMPORTS.values())


def test_nothing_pickles_or_evaluates() -> None:
    for path in MODULES:
        tree = ast.parse(path.read_text("utf-8"))
        calls = {
            node.func.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not calls & {"eval", "exec"}, path
    for name, found in IMPORTS.items():
        assert not belongs_to_any(found, "pickle"), name


def test_codecs_are_data_only() -> None:
    # A folder of that name with Python in it would shadow the standard library's `codecs`.
    assert list((ROOT / "codecs").rglob("*.py")) == []
