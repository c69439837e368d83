"""Measurements of ``latrans bench``: batches encoded and decoded by an engine, and what took long.

Stages of the host are counted in seconds of its threads' own processor time, so that waiting for
others counts for nothing; transfers and the device in seconds of the clock.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..codec import Codec
from ..engine import Engine, select
from ..models.model import Model
from ..models.store import open_model
from ..residual.predictor import Predictor
from ..residual.select import backend

MAPS = "maps, planning and headers"
CLASSES = "predictions and classes"
DECODING = "predictions and decoding"
ENTROPY = "entropy coding"
TRANSFERS = "transfers"
DEVICE = "device"


@dataclass
class Side:
    """Encoding or decoding of one engine, over all runs.

    Attributes
    ----------
    seconds : of each run, by the clock.
    transfers : seconds of all of them that host and device spent on copies.
    stages : seconds by stage, of all runs together.
    groups : (kind, chunks in it) of every call of the device.
    """

    seconds: list[float] = field(default_factory=list)
    transfers: float = 0.0
    stages: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    groups: list[tuple[str, int]] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def without_transfers(self) -> float:
        """Seconds of a run, less those of transfers."""
        return max(1e-9, self.median - self.transfers / len(self.seconds))


@dataclass
class Result:
    """What an engine did with a batch."""

    engine: Engine
    nbytes: int  # of all frames
    encode: Side
    decode: Side
    exact: bool  # whether arrays came back, in lossless mode
    frames: list[bytes]


def measure(
    names: Sequence[str],
    model: str,
    options: dict[str, Any],
    chunks: list[np.ndarray[Any, Any]],
    batch: int | None,
    threads: int | None,
    runs: int,
) -> list[Result]:
    """Results of several engines, their runs interleaved; a first one of each is not counted."""
    found = [_Contender(name, open_model(model).data, options, batch, threads) for name in names]
    for contender in found:
        contender.begin(chunks)
    for _ in range(runs):
        for contender in found:
            contender.run(chunks)
    return [contender.result for contender in found]


class _Contender:
    def __init__(
        self,
        name: str,
        data: bytes,
        options: dict[str, Any],
        batch: int | None,
        threads: int | None,
    ) -> None:
        self._engine = select(name)
        # A model of its own, since it is given backends that are watched.
        model = Model.from_bytes(data)
        self._watch = _Watch()
        self._codec = _Watched(model, engine=self._engine.name, **options)
        self._codec.watch = self._watch
        self._how = {"threads": threads, "batch": batch}
        if isinstance(model.predictor, Predictor):
            inner = backend(model.predictor, self._engine.name)
            watched = _WatchedBackend(inner, self._watch)
            model.prepared(f"planes {self._engine.name}", lambda: watched)

    def begin(self, chunks: list[np.ndarray[Any, Any]]) -> None:
        frames = self._codec.encode_batch(chunks, **self._how)
        back = self._codec.decode_batch(frames, **self._how)
        exact = self._codec.mode != "lossless" or all(
            a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(chunks, back, strict=True)
        )
        nbytes = sum(map(len, frames))
        self.result = Result(self._engine, nbytes, Side(), Side(), exact, frames)

    def run(self, chunks: list[np.ndarray[Any, Any]]) -> None:
        codec, how, result = self._codec, self._how, self.result
        self._one(result.encode, lambda: codec.encode_batch(chunks, **how))
        self._one(result.decode, lambda: codec.decode_batch(result.frames, **how))

    def _one(self, side: Side, work: Callable[[], object]) -> None:
        self._watch.stages = defaultdict(float)
        with _metered(self._engine) as meter:
            start = time.perf_counter()
            work()
            side.seconds.append(time.perf_counter() - start)
        for stage, seconds in self._watch.stages.items():
            side.stages[stage] += seconds
        if meter is not None:
            transfers = meter.seconds["transfers"]
            side.transfers += transfers
            side.stages[TRANSFERS] += transfers
            side.stages[DEVICE] += meter.seconds["device"]
            side.groups += meter.groups


def _metered(engine: Engine) -> AbstractContextManager[Any]:
    if not engine.on_tensors:
        return nullcontext()
    from ..torch_engine import meter

    return meter.metered()


class _Watch:
    """Processor time of threads by stage; what a stage contains of others counts for these."""

    def __init__(self) -> None:
        self.stages: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()
        self._here = threading.local()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        around = getattr(self._here, "within", 0.0)
        self._here.within = 0.0
        start = time.thread_time()
        try:
            yield
        finally:
            took = time.thread_time() - start
            with self._lock:
                self.stages[name] += took - self._here.within
            self._here.within = around + took


class _Watched(Codec):
    """A codec that tells a watch what its chunks take, and knows no model but its own."""

    watch: _Watch

    def _encode_some(self, arrays: Sequence[Any]) -> list[bytes]:
        with self.watch.stage(MAPS):
            return super()._encode_some(arrays)

    def _decode_some(self, frames: Sequence[Any]) -> list[Any]:
        with self.watch.stage(MAPS):
            return super()._decode_some(frames)

    def _open(self, numeric: Any) -> Model:
        assert isinstance(self.model, Model)
        return self.model

    def _model_of(self, parts: Any) -> Model:
        return self._open(None)


class _WatchedBackend:
    """A residual backend that tells a watch what its parts take."""

    def __init__(self, inner: Any, watch: _Watch) -> None:
        self._inner, self._watch = inner, watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def classify(self, *args: Any) -> Any:
        with self._watch.stage(CLASSES):
            return self._inner.classify(*args)

    def costs(self, *args: Any) -> Any:
        with self._watch.stage(CLASSES):
            return self._inner.costs(*args)

    def encode(self, *args: Any) -> Any:
        with self._watch.stage(ENTROPY):
            return self._inner.encode(*args)

    def decoding(self, *args: Any) -> Any:
        return _WatchedDecoding(self._inner.decoding(*args), self._watch)

    def decode_section(self, *args: Any) -> Iterator[Any] | None:
        planes = self._inner.decode_section(*args)
        return None if planes is None else self._watched(planes)

    def _watched(self, planes: Iterator[Any]) -> Iterator[Any]:
        while True:
            with self._watch.stage(DECODING):
                plane = next(planes, None)
            if plane is None:
                return
            yield plane


class _WatchedDecoding:
    def __init__(self, inner: Any, watch: _Watch) -> None:
        self._inner, self._watch = inner, watch

    def plane(self, *args: Any) -> Any:
        with self._watch.stage(DECODING):
            return self._inner.plane(*args)

    def finish(self) -> None:
        self._inner.finish()
