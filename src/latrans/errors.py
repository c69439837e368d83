"""Everything latrans raises.

::

    LatransError
    ├── ConfigError (ValueError)      an argument cannot be used as given
    │   └── RecipeError               a training recipe has an unknown or wrong entry
    ├── CodecError (ValueError)       a frame cannot be decoded: damaged, cut short, or not a frame
    ├── ModelError (ValueError)       a model file is damaged or not a latrans model
    │   └── ModelNotFoundError        no model with that name, path or digest is at hand
    ├── EngineError (RuntimeError)    an engine that was asked for by name is not available
    └── RivalError (RuntimeError)     a codec to compare with is not installed, or failed

Each message says what was found, what was expected and what to do.  None of them derives from
``KeyError``: Zarr reports a ``KeyError`` from a codec as "unknown codec".
"""

from __future__ import annotations


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
    """No model with that name, path or digest is at hand."""


class EngineError(LatransError, RuntimeError):
    """An engine that was asked for by name is not available on this machine."""


class RivalError(LatransError, RuntimeError):
    """A codec to compare with is not installed, or failed on an array."""


class LatransWarning(UserWarning):
    """Something worth knowing that is not an error."""
