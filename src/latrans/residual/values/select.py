"""Select: the coder by value that belongs to an engine."""

from __future__ import annotations

from .coder import ReferenceValueCoder, Run, ValueCoder, ValuePredictor


def value_coder(predictor: ValuePredictor, engine: str, run: Run) -> ValueCoder:
    """The coder that belongs to an engine's name; `run` is how the reference runs networks."""
    if engine == "native":
        from .native import NativeValueCoder

        return NativeValueCoder(predictor)
    return ReferenceValueCoder(predictor, run)
