"""Measurements: latrans and its rivals on one array, in one mode."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import latrans
from latrans.chunk import crop
from latrans.cli import arrays
from latrans.errors import ConfigError, RivalError
from latrans.format import axes as axis_letters
from latrans.models import store
from latrans.process.whole_files import replacing
from latrans.rivals import Rival
from latrans.rivals.apart import measure
from latrans.rivals.measure import Outcome, timed, value_range
from ratio_files import Item

LOSSLESS = "lossless"


@dataclass(frozen=True)
class Row:
    """One array in one mode: sizes in bits per sample, everything counted."""

    item: Item
    mode: str  # "lossless" or the bound as a fraction of the range
    dtype: str
    shape: tuple[int, ...]
    axes: str
    model: str
    digest: str
    bits: float
    error: float
    encode_mb_s: float
    decode_mb_s: float
    rivals: dict[str, Outcome] = field(default_factory=dict)

    @property
    def kept(self) -> bool:
        """Whether latrans gave back what it promised: bit for bit, or within the bound."""
        return self.error <= (0 if self.mode == LOSSLESS else 1)

    @property
    def best(self) -> str:
        """The rival that stores least; empty without rivals."""
        kept = {label: r.nbytes for label, r in self.rivals.items() if r.kept(rounded=True)}
        return min(kept, key=kept.__getitem__, default="")

    def rival_bits(self, label: str) -> float:
        """Bits per sample of a rival."""
        return self.rivals[label].nbytes * 8 / math.prod(self.shape)

    @property
    def ratio(self) -> float:
        """Bits of latrans per bit of the best rival; NaN without one."""
        return self.bits / self.rival_bits(self.best) if self.best else math.nan


class Cache:
    """Rivals' outcomes by content, in a JSON file: they do not change while latrans does."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        known = path is not None and path.is_file()
        self._found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path and known else {}

    def get(self, key: str) -> Outcome | None:
        entry = self._found.get(key)
        return None if entry is None else Outcome(**entry)

    def put(self, key: str, outcome: Outcome) -> None:
        self._found[key] = vars(outcome)
        if self._path is not None:
            with replacing(self._path) as partial:
                partial.write_text(json.dumps(self._found, indent=0, sort_keys=True), "utf-8")


def refuse_trained(items: list[Item], model: str) -> None:
    """Raise `ConfigError` if any array is in the training manifest of a model that may be used."""
    models = [store.open_model(listed.name) for listed in store.list_models(store.packaged())]
    if model != "auto":
        models.append(store.open_model(model))
    names: dict[str, str] = {}
    hashes: dict[str, str] = {}
    for known in models:
        for entry in known.training.get("data", ()):
            names[str(entry["name"]).partition(":")[0]] = known.name
            hashes[str(entry.get("sha256", ""))] = known.name
    for item in items:
        culprit = names.get(item.path.name)
        if culprit is None and item.path.is_file():
            culprit = hashes.get(hashlib.sha256(item.path.read_bytes()).hexdigest())
        if culprit is not None:
            raise ConfigError(f"{item.name} is among the training data of {culprit}: leave it out")


def measure_item(
    item: Item,
    modes: list[str],
    rivals: tuple[Rival, ...],
    model: str,
    max_samples: int | None,
    cache: Cache,
) -> Iterator[Row]:
    """Rows of one array, in the modes that its dtype has."""
    with arrays.open_source(item.source) as source:
        if max_samples is None:
            array = np.ascontiguousarray(source[...])
        else:
            array = crop.crop(source, item.axes, max_samples)
    content = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
    for mode in modes:
        bound = None
        if mode != LOSSLESS:
            if array.dtype.kind != "f":
                continue
            bound = float(mode) * value_range(array, item.fill_value)
            if not bound > 0:
                continue
        row = _ours(item, array, mode, bound, model)
        for rival in rivals:
            if rival.bounded != (bound is not None) or not rival.suits(array, row.axes):
                continue
            key = f"{content.hexdigest()} {row.axes} {bound} {item.fill_value} {rival.label}"
            outcome = cache.get(key)
            if outcome is None:
                if rival.missing():  # said once, for all arrays
                    continue
                try:
                    outcome = measure(rival, array, row.axes, bound, item.fill_value)
                except RivalError as error:
                    print(f"{item.name} {mode}: {error}", file=sys.stderr)
                    continue
                cache.put(key, outcome)
            row.rivals[rival.label] = outcome
        yield row


def _ours(
    item: Item, array: np.ndarray[Any, Any], mode: str, bound: float | None, model: str
) -> Row:
    name = LOSSLESS if bound is None else "bounded"
    codec = latrans.Codec(model, name, bound, item.fill_value, item.axes)
    frames: list[bytes] = []

    def encode() -> bytes:
        frames.append(codec.encode(array))
        return frames[0]

    outcome = timed(encode, codec.decode, len, array, bound, item.fill_value)
    info = latrans.inspect(frames[0])
    return Row(
        item=item,
        mode=mode,
        dtype=str(array.dtype),
        shape=array.shape,
        axes=item.axes or _default_axes(info, array.shape),
        model="fallback" if info.fallback else str(info.model_name),
        digest=info.model_digest or "",
        bits=outcome.nbytes * 8 / array.size,
        error=outcome.error,
        encode_mb_s=array.nbytes / 1e6 / outcome.encode_seconds,
        decode_mb_s=array.nbytes / 1e6 / outcome.decode_seconds,
    )


def _default_axes(info: latrans.FrameInfo, shape: tuple[int, ...]) -> str:
    """Axes of an array that came without: what the model took them for."""
    if info.model_digest is None:
        return "n" * (len(shape) - 2) + "yx"[-len(shape) :]
    model = store.find(info.model_digest)
    return axis_letters.default(model.axes, shape, model.geometry)


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    packages = ("numpy", "numcodecs", "pcodec", "imagecodecs", "soundfile", "pyarrow")
    versions = [f"latrans {latrans.__version__}", f"Python {platform.python_version()}"]
    for package in packages:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"no {package}")
    return {
        "cpu": _cpu(),
        "cores": str(os.cpu_count()),
        "engine": latrans.engine(),
        "versions": ", ".join(versions),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
