"""Model: everything a frame needs beside its own bytes, in one safetensors file (FORMAT.md 9).

The file has one metadata key, `latrans`, that holds JSON; its identity is the SHA-256 of its
bytes.  Models are data: nothing in them is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from ..coding.latents import LatentCoder
from ..coding.rans.tables import check as check_tables
from ..coding.tokens import N_SYMBOLS
from ..engine import select
from ..engine.program import Program
from ..errors import ConfigError, LatransError, ModelError
from ..format.axes import check as check_axes
from ..format.varint import native
from ..process.whole_files import replacing
from ..residual.predictor import Predictor, predictor_from
from ..residual.protocol import Backend
from ..residual.select import backend
from ..residual.values.coder import N_VALUES, ValueCoder, ValuePredictor
from ..residual.values.select import value_coder
from ..transform.transform import Transform

if TYPE_CHECKING:
    from .autoencoder import Autoencoder

MODEL_FORMAT = 1  # FORMAT.md 9.1
MAX_NBYTES = 1 << 26
T = TypeVar("T")
BY_VALUE = "values"  # FORMAT.md 6.7
_KEY = "latrans"
# FORMAT.md 9.2: what tensors are of.
_DTYPES = {"I8": "|i1", "U8": "|u1", "I16": "<i2", "U16": "<u2", "I32": "<i4"}


@dataclass(frozen=True, eq=False)
class Model:
    """A trained codec.

    Attributes
    ----------
    name, version : alias and version; the digest is the identity.
    axes : str
        Letters of the dimensions that the model was trained on, such as "yx" or "t".
    predictor : Predictor, ValuePredictor or None
        The second codes small samples of one shape by value, see `residual.values`; lossy models
        have none.
    autoencoder : Autoencoder or None
    latent_tables : (channels, symbols) uint16, with an autoencoder.
    transform : Transform or None
        Of a lossy model, which has neither predictor nor autoencoder.
    training : what it was trained on and how, for people and for checks.

    Examples
    --------
    >>> import latrans
    >>> model = latrans.open_model("image-1")
    >>> model.name, len(model.digest)
    ('image-1', 64)
    """

    name: str
    version: int
    axes: str
    predictor: Predictor | ValuePredictor | None
    autoencoder: Autoencoder | None = None
    latent_tables: npt.NDArray[np.uint16] | None = None
    training: dict[str, Any] = field(default_factory=dict)
    summary: str = ""
    transform: Transform | None = None

    def __repr__(self) -> str:
        return (
            f"Model({self.name!r}, version={self.version}, axes={self.axes!r}, "
            f"{len(self.data)} bytes, sha256:{self.digest[:16]})"
        )

    @property
    def geometry(self) -> str:
        return "plane" if self.by_value or self.lossy_only else self.neighbourhood.geometry.name

    @property
    def lossy_only(self) -> bool:
        """Whether the model has no residual coder, and so no mode but lossy."""
        return self.predictor is None

    @property
    def has_latents(self) -> bool:
        """Whether the model has a lossy mode."""
        return self.autoencoder is not None or self.transform is not None

    @property
    def has_reconstruction(self) -> bool:
        """Whether residuals are coded on top of a reconstruction."""
        return self.predictor is not None and self.predictor.has_reconstruction

    @property
    def by_value(self) -> bool:
        return isinstance(self.predictor, ValuePredictor)

    @property
    def neighbourhood(self) -> Predictor:
        """The predictor of planes and tracks; not for models that code by value."""
        assert isinstance(self.predictor, Predictor)
        return self.predictor

    @cached_property
    def data(self) -> bytes:
        """The file's bytes."""
        tensors: dict[str, npt.NDArray[Any]] = {}
        spec: dict[str, Any] = {
            "format": MODEL_FORMAT,
            "name": self.name,
            "version": self.version,
            "axes": self.axes,
            "summary": self.summary,
            "training": self.training,
        }
        if self.predictor is not None:
            tensors["residual.tables"] = self.predictor.tables
            if isinstance(self.predictor, Predictor):
                tensors["residual.linear"] = self.predictor.linear
            experts: list[list[Any]] = []
            for i, networks in enumerate(self.predictor.experts):
                experts.append([])
                for j, program in enumerate(networks):
                    network, network_spec = program.to_tensors(f"residual.expert{i}.{j}")
                    tensors.update(network)
                    experts[-1].append(network_spec)
            spec["residual"] = {**self.predictor.spec(), "experts": experts}
        if self.transform is not None:
            parts, spec["transform"] = self.transform.to_tensors("transform")
            tensors.update(parts)
        if self.autoencoder is not None and self.latent_tables is not None:
            parts, spec["autoencoder"] = self.autoencoder.to_tensors("autoencoder")
            tensors.update(parts)
            tensors["latents.tables"] = self.latent_tables
        text = json.dumps(spec, sort_keys=True, separators=(",", ":"))
        contiguous = {k: np.ascontiguousarray(v) for k, v in tensors.items()}
        return safetensors.numpy.save(contiguous, {_KEY: text})

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file, 64 hexadecimal digits."""
        return hashlib.sha256(self.data).hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file, whole or not at all."""
        with replacing(Path(path)) as partial:
            partial.write_bytes(self.data)

    @classmethod
    def from_bytes(cls, data: bytes) -> Model:
        """Read a model file; `ModelError` if it is damaged or not a latrans model."""
        if len(data) > MAX_NBYTES:
            raise ModelError(f"model of {len(data)} bytes; at most {MAX_NBYTES} are read")
        try:
            length = int.from_bytes(data[:8], "little")
            header = json.loads(bytes(data[8 : 8 + min(length, len(data))]))
            spec = json.loads(header["__metadata__"][_KEY])
            tensors = _tensors(bytes(data))
            model = cls._from_parts(spec, tensors)
        except LatransError:
            raise
        except Exception as error:  # safetensors and JSON raise many kinds
            raise ModelError(
                f"not a latrans model ({type(error).__name__}: {error}); expected a .safetensors "
                f"file written by `latrans train` or Model.save"
            ) from error
        # The bytes as given are the identity, also where another writer would lay them out anew.
        model.__dict__["data"] = bytes(data)
        return model

    @classmethod
    def _from_parts(cls, spec: dict[str, Any], tensors: dict[str, Any]) -> Model:
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
            from .autoencoder import Autoencoder

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
        return cls(
            name=str(spec["name"]),
            version=version,
            axes=axes,
            predictor=predictor,
            autoencoder=autoencoder,
            latent_tables=latent_tables,
            training=dict(spec["training"]),
            summary=str(spec.get("summary", "")),
            transform=transform,
        )

    def backend(self, engine: str | None) -> Backend:
        """Residual backend for an engine, prepared once."""
        name = select(engine).name
        return self.prepared(f"planes {name}", lambda: backend(self.neighbourhood, name))

    def value_coder(self, engine: str | None) -> ValueCoder:
        """Value coder on an engine."""
        predictor = self.predictor
        assert isinstance(predictor, ValuePredictor)
        chosen = select(engine)
        return self.prepared(
            f"values {chosen.name}",
            lambda: value_coder(predictor, chosen.host, chosen.run),
        )

    def latent_coder(self, engine: str | None) -> LatentCoder:
        """Latent coder on an engine."""
        tables = self.latent_tables
        if tables is None:
            raise ModelError(f"model {self.name!r} has no latents")
        host = select(engine).host
        return self.prepared(f"latents {host}", lambda: LatentCoder(tables, host))

    def prepared(self, key: str, make: Callable[[], T]) -> T:
        """What `make` makes, made once: tables are laid out for many small chunks."""
        ready: dict[str, Any] = self.__dict__.setdefault("_ready", {})
        if key not in ready:
            ready[key] = make()
        found: T = ready[key]
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return Model.from_bytes, (self.data,)


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
