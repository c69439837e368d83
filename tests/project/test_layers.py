"""Who may import whom, read from the source: the layers of the library stay apart."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from places import ROOT

LIBRARY = ROOT / "src" / "latrans"
MODULES = sorted(LIBRARY.rglob("*.py"))

# Heavy packages, and the modules of the library (or folders of them) that may import each.
HOMES = {
    "torch": ("train", "torch_engine"),
    "triton": ("torch_engine.kernel", "torch_engine.kernel_parts"),
    "zarr": ("zarr", "cli", "transfer", "dask", "train.files"),
    "dask": ("dask", "cli.pipeline"),
    "distributed": ("dask", "cli.pipeline"),
    "pyarrow": ("arrow", "rivals.parquet"),
    "fsspec": ("arrow.files",),
    "tifffile": ("transfer.tiff",),
    "imageio": ("transfer.images",),
    "pandas": (),
    "polars": (),
    "duckdb": (),
    "rich": ("process.progress_bar", "train"),
    "matplotlib": ("cli",),
}

# Every room of the library, lowest first, and which of those above it may import.
EDGES = {
    "errors": "",
    "process": "errors",
    "threads": "errors process",
    "format": "errors",
    "missing": "errors",
    "coding": "errors format",
    "engine": "errors",
    "fallback": "errors format process",
    "maps": "coding errors fallback format missing process",
    "residual": "coding engine errors format",
    "transform": "coding engine errors format",
    "models": "coding engine errors format process residual transform",
    "chunk": "coding engine errors format maps missing models residual transform",
    "torch_engine": "coding engine errors process residual threads",
    "batch": "chunk engine errors format maps models process residual threads torch_engine",
    "options": "chunk errors format missing models",
    "codec": "batch chunk errors fallback format missing models options",
    "shortcuts": "codec format",
    "config": "codec errors missing models",
    "numcodecs": "batch config process threads",
    "zarr": "batch chunk codec config errors format maps missing models numcodecs",
    "transfer": "batch chunk codec config errors format missing models numcodecs process threads "
    "zarr",
    "rivals": "errors format missing transfer",
    "arrow": "codec config errors format maps missing models process threads",
    "train": "batch chunk coding engine errors format maps models residual transfer transform zarr",
    "dask": "arrow batch chunk codec config engine errors format models process train transfer "
    "zarr",
    "cli": "arrow chunk codec dask engine errors format missing models process residual rivals "
    "threads torch_engine transfer zarr",
    "__main__": "cli",
}


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
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def belongs(module: str, homes: tuple[str, ...]) -> bool:
    return any(module == home or module.startswith(home + ".") for home in homes)


IMPORTS = {name_of(path): imports(path) for path in MODULES}


def test_the_modules_were_found() -> None:
    assert {"", "codec", "format.frame", "engine", "train.recipe", "cli.compress"} <= set(IMPORTS)
    assert "errors" in modules_imported("cli.compress")
    assert "latrans.models.store.list_models" in IMPORTS["cli.models"]


@pytest.mark.parametrize("package", HOMES)
def test_heavy_packages_stay_in_their_place(package: str) -> None:
    users = {name for name, found in IMPORTS.items() if belongs_to_any(found, package)}
    assert {name for name in users if not belongs(name, HOMES[package])} == set()


def belongs_to_any(found: set[str], package: str) -> bool:
    return any(belongs(name, (package,)) for name in found)


def room_of(module: str) -> str:
    return module.partition(".")[0]


def modules_imported(name: str) -> set[str]:
    """Modules of the library that one imports; the package's own root is not one of them."""
    inside = {found.removeprefix("latrans.") for found in IMPORTS[name] if "latrans." in found}
    modules = {found if found in IMPORTS else found.rpartition(".")[0] for found in inside}
    return modules & IMPORTS.keys() - {"", name}


def test_rooms_import_only_what_the_table_allows() -> None:
    found: dict[str, set[str]] = {}
    for name in IMPORTS:
        if name:
            others = {room_of(other) for other in modules_imported(name)}
            found.setdefault(room_of(name), set()).update(others - {room_of(name)})
    assert {room: sorted(others) for room, others in found.items()} == {
        room: sorted(allowed.split()) for room, allowed in EDGES.items()
    }


def test_the_page_on_architecture_shows_the_same_table() -> None:
    text = (LIBRARY / "ARCHITECTURE.md").read_text("utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    shown = {row[0].strip("`"): row[-1] for row in rows}
    allowed = {room: ", ".join(sorted(e.split())) or "nothing" for room, e in EDGES.items()}
    assert shown == allowed
    assert list(shown) == list(EDGES)


@pytest.mark.parametrize("room", EDGES)
def test_rooms_that_say_what_they_may_import_say_what_the_table_says(room: str) -> None:
    if (LIBRARY / room / "__init__.py").is_file():
        tree = ast.parse((LIBRARY / room / "__init__.py").read_text("utf-8"))
        said = re.search(
            r"may\s+import(.*?)[.,;] *(but|it|$|\n\n|[A-Z])", docstring(tree) + "\n\n", re.S
        )
        if said:
            assert set(re.findall(r"`(\w+)`", said[1])) == set(EDGES[room].split())


def docstring(tree: ast.Module) -> str:
    return ast.get_docstring(tree) or ""


def test_no_room_imports_one_that_stands_above_it() -> None:
    order = list(EDGES)
    for room, allowed in EDGES.items():
        above = [other for other in allowed.split() if order.index(other) >= order.index(room)]
        assert above == [], room


def test_no_module_imports_itself_in_a_circle() -> None:
    # Imports inside functions and for type checkers count as well.
    left = {name: modules_imported(name) for name in IMPORTS if name}
    while left:
        free = {name for name, others in left.items() if not others & left.keys()}
        assert free, f"in circles: {sorted(left)}"
        left = {name: others for name, others in left.items() if name not in free}


def test_the_root_holds_few_modules() -> None:
    modules = {path.name for path in LIBRARY.glob("*.py")}
    assert len(modules) <= 10, modules
    folders = {path.parent for path in MODULES} - {LIBRARY}
    for folder in folders:
        said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8")))
        assert said, folder


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
