"""Model file: from the bytes of a safetensors file to the fields of a model (FORMAT.md 9)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors

from ..coding.rans.tables import check as check_tables
from ..coding.tokens import N_SYMBOLS
from ..engine.program import Program
from ..errors import ConfigError, LatransError, ModelError
from ..format.axes import check as check_axes
from ..format.varint import native
from ..residual.predictor import Predictor, predictor_from
from ..residual.values.coder import N_VALUES, ValuePredictor
from ..transform.transform import Transform
from .autoencoder import Autoencoder

MODEL_FORMAT = 1  # FORMAT.md 9.1
MAX_NBYTES = 1 << 26
BY_VALUE = "values"  # FORMAT.md 6.7
KEY = "latrans"  # of the metadata
# FORMAT.md 9.2: what tensors are of.
_DTYPES = {"I8": "|i1", "U8": "|u1", "I16": "<i2", "U16": "<u2", "I32": "<i4"}


def fields_of(data: bytes) -> dict[str, Any]:
    """What `Model` takes, from a model file.

    Raises
    ------
    ModelError
        If it is damaged or not a latrans model.
    """
    if len(data) > MAX_NBYTES:
        raise ModelError(f"model of {len(data)} bytes; at most {MAX_NBYTES} are read")
    try:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(bytes(data[8 : 8 + min(length, len(data))]))
        spec = json.loads(header["__metadata__"][KEY])
        return _from_parts(spec, _tensors(bytes(data)))
    except LatransError:
        raise
    except Exception as error:  # safetensors and JSON raise many kinds
        raise ModelError(
            f"not a latrans model ({type(error).__name__}: {error}); expected a .safetensors "
            f"file written by `latrans train` or Model.save"
        ) from error


def _from_parts(spec: dict[str, Any], tensors: dict[str, Any]) -> dict[str, Any]:
    if spec.get("format") != MODEL_FORMAT:
        raise ModelError(
            f"model has format {spec.get('format')}; this latrans reads {MODEL_FORMAT}: update"
        )
    transform = None
    if "transform" in spec:
        if "residual" in spec or "autoencoder" in spec:
            raise ModelError(f"model {spec['name']!r} has a transform and other networks")
        transform = Transform.from_tensors("transform", tensors, spec["transform"])
    predictor = None if transform is not None else _predictor(spec, tensors)
    autoencoder = latent_tables = None
    if "autoencoder" in spec:
        autoencoder = Autoencoder.from_tensors("autoencoder", tensors, spec["autoencoder"])
        latent_tables = tensors["latents.tables"]
        if latent_tables.shape != (autoencoder.latent_channels, N_SYMBOLS):
            raise ModelError(f"latent tables have shape {latent_tables.shape}")
        if not check_tables(latent_tables):
            raise ModelError("latent tables do not sum to 4096")
    if predictor is not None and predictor.has_reconstruction and autoencoder is None:
        raise ModelError(f"model {spec['name']!r} expects a reconstruction but makes none")
    if isinstance(predictor, ValuePredictor) and not _agree(predictor, autoencoder):
        raise ModelError(f"model {spec['name']!r} reconstructs other samples than it codes")
    version = int(spec["version"])
    if not 0 <= version < 1 << 31:
        raise ModelError(f"model {spec['name']!r} has version {version}")
    axes = str(spec["axes"])
    try:
        track = isinstance(predictor, Predictor) and predictor.geometry.name == "track"
        check_axes(axes, len(axes), "track" if track else "plane")
    except ConfigError as error:
        raise ModelError(f"model {spec['name']!r} has invalid axes: {error}") from error
    return {
        "name": str(spec["name"]),
        "version": version,
        "axes": axes,
        "predictor": predictor,
        "autoencoder": autoencoder,
        "latent_tables": latent_tables,
        "training": dict(spec["training"]),
        "summary": str(spec.get("summary", "")),
        "transform": transform,
    }


def _tensors(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """The tensors of a safetensors file, in this machine's byte order.

    The bytes are little-endian.  The library's own loader takes them for native ones.
    """
    found = {}
    for name, tensor in safetensors.deserialize(data):  # type: ignore[no-untyped-call]
        stored = np.dtype(_DTYPES[tensor["dtype"]])
        found[name] = native(np.frombuffer(tensor["data"], stored).reshape(tensor["shape"]))
    return found


def _predictor(spec: dict[str, Any], tensors: dict[str, Any]) -> Predictor | ValuePredictor:
    residual = spec["residual"]
    experts = tuple(
        tuple(
            Program.from_tensors(f"residual.expert{i}.{j}", tensors, program)
            for j, program in enumerate(networks)
        )
        for i, networks in enumerate(residual["experts"])
    )
    predictor: Predictor | ValuePredictor
    if residual["geometry"] == BY_VALUE:
        rows, columns = residual["shape"]
        shape = (int(rows), int(columns))
        predictor = ValuePredictor(shape, experts[0][0], tensors["residual.tables"])
    else:
        predictor = predictor_from(
            residual,
            experts=experts,
            linear=tensors["residual.linear"],
            tables=tensors["residual.tables"],
        )
    problem = predictor.problems()
    if problem:
        raise ModelError(f"model {spec['name']!r} is inconsistent: {problem}")
    if not check_tables(predictor.tables):
        raise ModelError("residual tables do not sum to 4096")
    return predictor


def _agree(predictor: ValuePredictor, autoencoder: Autoencoder | None) -> bool:
    """Whether samples and their reconstructions have the predictor's shape, and are bytes."""
    if autoencoder is None:
        return False
    lo, hi = autoencoder.synthesis.output_range
    same = autoencoder.sample_shape == predictor.shape
    return same and autoencoder.analysis.input_hi < N_VALUES and 0 <= lo <= hi < N_VALUES
