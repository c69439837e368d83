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
from ..engine import select
from ..errors import ModelError
from ..process.whole_files import replacing
from ..residual.predictor import Predictor
from ..residual.protocol import Backend
from ..residual.select import backend
from ..residual.values.coder import ValueCoder, ValuePredictor
from ..residual.values.select import value_coder
from ..transform.transform import Transform
from .model_file import KEY, MODEL_FORMAT, fields_of

if TYPE_CHECKING:
    from .autoencoder import Autoencoder

T = TypeVar("T")


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
        return safetensors.numpy.save(contiguous, {KEY: text})

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
        model = cls(**fields_of(data))
        # The bytes as given are the identity, also where another writer would lay them out anew.
        model.__dict__["data"] = bytes(data)
        return model

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
