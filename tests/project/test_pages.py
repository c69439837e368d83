"""The pages on terms and architecture name what exists, and the imports that are allowed."""

from __future__ import annotations

import ast
import re

import pytest

from places import ROOT

LIBRARY = ROOT / "src" / "latrans"
PAGES = ("ARCHITECTURE.md", "TERMS.md")


def page(name: str) -> str:
    return (LIBRARY / name).read_text("utf-8")


def links(name: str) -> list[tuple[str, str]]:
    """Text and target of every link whose text is code."""
    return re.findall(r"\[`([^`]+)`\]\(([^)#]+)\)", page(name))


def module_of(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def has(body: list[ast.stmt], names: list[str]) -> bool:
    """Whether statements define a name, and in it the next one."""
    for node in body:
        defined = isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        if defined and node.name == names[0]:  # type: ignore[attr-defined]
            return len(names) == 1 or has(node.body, names[1:])  # type: ignore[attr-defined]
    return False


@pytest.mark.parametrize("name", PAGES)
def test_every_function_and_file_that_is_named_exists(name: str) -> None:
    found = links(name)
    assert len(found) > 30
    for text, target in found:
        assert (LIBRARY / target).is_file(), target
        module = module_of(target)
        assert text == module or text.startswith(module + "."), (text, target)
        if text != module:
            body = ast.parse((LIBRARY / target).read_text("utf-8")).body
            assert has(body, text.removeprefix(module + ".").split(".")), text


@pytest.mark.parametrize("name", PAGES)
def test_every_page_that_is_linked_exists(name: str) -> None:
    for target in re.findall(r"\]\(([^)#]+\.md)\)", page(name)):
        assert (LIBRARY / target).is_file(), target
    assert f"(src/latrans/{name})" in (ROOT / "README.md").read_text("utf-8")


def test_every_section_of_the_format_that_is_named_exists() -> None:
    sections = set(re.findall(r"^#+ ([\d.]+?)\.? ", page("FORMAT.md"), re.M))
    rows = [line.split(" | ") for line in page("TERMS.md").splitlines() if line.startswith("| ")]
    named = [row[-1].strip("| ").split(", ") for row in rows if row[-1].strip("| ")]
    numbers = {number for numbers in named for number in numbers} - {"FORMAT.md", "---"}
    assert len(numbers) > 20
    assert numbers <= sections
