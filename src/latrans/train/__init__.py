"""Training: from arrays to a model (needs `latrans[train]`, that is PyTorch).

`fit` trains the autoencoder, if the recipe has one, then the residual network on rows that the
coder itself makes, fits the tables, and joins everything into a `latrans.Model`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .examples import Source
    from .training import fit

__all__ = ["Source", "fit"]


def __getattr__(name: str) -> Any:
    if name == "fit":
        from .training import fit

        return fit
    if name == "Source":
        from .examples import Source

        return Source
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
