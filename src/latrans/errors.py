"""Everything latrans raises.

::

    LatransError
    ├── ConfigError (ValueError)      an argument cannot be used as given
    │   └── RecipeError               a training recipe has an unknown or wrong entry
    ├── CodecError (ValueError)       a frame cannot be decoded: damaged, cut short, or not a frame
    ├── ModelError (ValueError)       a model file is damaged or not a latrans model
    │   └── ModelNotFoundError        no model with that name, path or digest is found
    ├── DependencyError (ImportError)  another package, which latrans needs, is broken
    ├── EngineError (RuntimeError)    no engine that was asked for, or none at all, runs here
    ├── RivalError (RuntimeError)     a codec to compare with is not installed, or failed
    ├── ShutdownError (RuntimeError)  the interpreter is shutting down, nothing more is coded
    └── TransferError (RuntimeError)  chunks of a transfer failed; all others are in place

Each message says what was found, what was expected and what to do.  None of them derives from
``KeyError``: Zarr reports a ``KeyError`` from a codec as "unknown codec".
"""

from __future__ import annotations

from typing import Any


class LatransError(Exception):
    """Base of every error that latrans raises on purpose."""


class ConfigError(LatransError, ValueError):
    """An argument or configuration entry cannot be used as given."""


class RecipeError(ConfigError):
    """A training recipe has an unknown key or a value out of range."""


class CodecError(LatransError, ValueError):
    """A frame cannot be decoded: it is damaged, cut short, or not a latrans frame."""


class ModelError(LatransError, ValueError):
    """A model file is damaged or is not a latrans model."""


class ModelNotFoundError(ModelError):
    """No model with that name, path or digest is found."""


class DependencyError(LatransError, ImportError):
    """A package that latrans needs is installed, but cannot be imported."""


class EngineError(LatransError, RuntimeError):
    """An engine that was asked for by name, or any that is right, is not available here."""


class RivalError(LatransError, RuntimeError):
    """A codec to compare with is not installed, or failed on an array."""


class ShutdownError(LatransError, RuntimeError):
    """The interpreter is shutting down, and what still waited to be coded was given up."""


class TransferError(LatransError, RuntimeError):
    """Chunks could not be moved; all others were, and a rerun tries these again.

    Attributes
    ----------
    summary : latrans.transfer.Summary
        What was done, and each chunk that failed with its reason.
    """

    def __init__(self, summary: Any) -> None:
        self.summary = summary
        first = "; ".join(str(failure) for failure in summary.failures[:3])
        more = len(summary.failures) - 3
        n = len(summary.failures)
        super().__init__(
            f"{n} chunk{'s' if n > 1 else ''} could not be moved: {first}"
            + (f"; and {more} more" if more > 0 else "")
            + ". All others are in place; a rerun tries these again"
        )

    def __reduce__(self) -> tuple[type[TransferError], tuple[Any]]:
        return type(self), (self.summary,)


class LatransWarning(UserWarning):
    """Something worth knowing that is not an error."""


class ReferenceEngineWarning(LatransWarning):
    """The compiled core does not load, and the slow reference engine runs in its place."""
