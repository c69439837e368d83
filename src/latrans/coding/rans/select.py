"""Select: the entropy coder of sequences that belongs to an engine."""

from __future__ import annotations

from types import ModuleType

from . import sequences


def on(engine: str) -> ModuleType:
    """The module with `encode`, `Tables` and `Decoder` that belongs to an engine's name."""
    if engine == "native":
        from . import native

        return native
    return sequences
