"""Measurements of speed: contenders, and their interleaved runs on one array."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

import latrans
from latrans.chunk import choose_model, crop
from latrans.cli import arrays
from latrans.rivals import Rival, stored_nbytes
from latrans.rivals.measure import largest_error, value_range
from ratio_files import Item

LOSSLESS, LOSSY = "lossless", "lossy"
QUALITY = 50  # of lossy codecs
_COPIES_PER_CORE = 2
_SMALL_PLANE, _SMALL_CHUNKS = 4096, 10_000

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Task:
    """One array in one mode; the bound is absolute."""

    item: Item
    mode: str
    array: Array
    bound: float | None


@dataclass(frozen=True)
class Contender:
    """A codec as it is timed; `codec` is that of latrans, None for rivals."""

    label: str
    encode: Callable[[Array], bytes]
    decode: Callable[[bytes], Array]
    size: Callable[[bytes], int]
    codec: latrans.Codec | None = None
    lossy: bool = False


@dataclass
class Row:
    """One codec on one array; seconds of every run."""

    name: str
    category: str
    mode: str
    label: str
    dtype: str
    n_samples: int
    nbytes: int  # of the array
    stored: int = 0
    kept: bool = True
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def mega_samples(self, what: str) -> float:
        """Million samples per second, the median of all runs; NaN where not measured."""
        taken = self.seconds.get(what)
        return self.n_samples / statistics.median(taken) / 1e6 if taken else float("nan")

    def mb_s(self, what: str) -> float:
        return self.mega_samples(what) * self.nbytes / self.n_samples

    @property
    def ratio(self) -> float:
        return self.nbytes / self.stored


@dataclass(frozen=True)
class Small:
    """Chunks of one small plane each: chunks per second in batches, milliseconds one by one."""

    label: str
    shape: tuple[int, ...]
    batch: tuple[float, float]
    single: tuple[float, float]


def tasks(item: Item, modes: Sequence[str], max_samples: int) -> Iterator[Task]:
    """The middle of an array, in the modes that its dtype has."""
    with arrays.open_source(item.source) as source:
        array = crop.crop(source, item.axes, max_samples)
    for mode in modes:
        if mode == LOSSLESS:
            yield Task(item, mode, array, None)
        elif array.dtype.kind == "f":
            bound = float(mode) * value_range(array, item.fill_value)
            if bound > 0:
                yield Task(item, mode, array, bound)


def contenders(task: Task, models: str, rivals: Sequence[Rival]) -> list[Contender]:
    """The shipped codecs that suit an array (or those named), and the rivals that do."""
    item, array = task.item, task.array
    known = choose_model.candidates(array, item.axes)
    axes = item.axes or (known[0][1] if known else "n" * (array.ndim - 1) + "t")
    named = [(model.name, axes) for model, axes in known]
    if models:
        named = [(name, item.axes) for name in models.split(",")]
    found = []
    for name, mine in named:
        bounded = LOSSLESS if task.bound is None else "bounded"
        codec = latrans.Codec(name, bounded, task.bound, item.fill_value, mine)
        found.append(Contender(f"latrans {name}", codec.encode, codec.decode, len, codec))
    if task.bound is None and not models and {"y", "x"} <= set(axes):
        for model, _ in choose_model.candidates(array, item.axes, LOSSY):
            if model.lossy_only:
                codec = latrans.Codec(model.name, LOSSY, axes=item.axes, quality=QUALITY)
                label = f"latrans {model.name}, quality {QUALITY}"
                found.append(Contender(label, codec.encode, codec.decode, len, codec, lossy=True))
    for rival in rivals:
        if rival.bounded == (task.bound is not None) and rival.suits(array, axes):
            if rival.missing():
                continue
            encode = partial(
                rival.encode, axes=axes, max_error=task.bound, fill_value=item.fill_value
            )
            found.append(Contender(rival.label, encode, rival.decode, stored_nbytes))
    return found


def measure(task: Task, found: Sequence[Contender], runs: int, batch: bool) -> list[Row]:
    """Rows of all contenders, their runs interleaved."""
    array = task.array
    rows, encoded = [], []
    for contender in found:
        row = Row(
            task.item.name, task.item.category, task.mode, contender.label, str(array.dtype),
            array.size, array.nbytes,
        )  # fmt: skip
        encoded.append(contender.encode(array))
        row.stored = contender.size(encoded[-1])
        error = largest_error(
            array, contender.decode(encoded[-1]), task.bound, task.item.fill_value
        )
        # Rivals that miss their bound by the rounding of floats are timed all the same.
        row.kept = contender.lossy or contender.codec is None or error <= (task.bound is not None)
        rows.append(row)
    for _ in range(runs):
        for contender, row, data in zip(found, rows, encoded, strict=True):
            _add(row, "encode", partial(contender.encode, array), 1)
            _add(row, "decode", partial(contender.decode, data), 1)
            if batch:
                n = _COPIES_PER_CORE * (os.cpu_count() or 1)
                _add(row, "encode, all cores", _batch(contender, True, [array] * n), n)
                _add(row, "decode, all cores", _batch(contender, False, [data] * n), n)
    return rows


def _add(row: Row, what: str, work: Callable[[], object], n: int) -> None:
    start = time.perf_counter()
    work()
    row.seconds.setdefault(what, []).append((time.perf_counter() - start) / n)


def _batch(contender: Contender, encode: bool, items: list[Any]) -> Callable[[], object]:
    cores = os.cpu_count() or 1
    if contender.codec is not None:
        codec = contender.codec
        return partial(codec.encode_batch if encode else codec.decode_batch, items, threads=cores)
    one = contender.encode if encode else contender.decode

    def run() -> object:
        with ThreadPoolExecutor(cores) as pool:
            return list(pool.map(one, items))

    return run


def small_chunks(item: Item, models: str) -> list[Small]:
    """Every plane of an array of small planes as a chunk of its own, through numcodecs."""
    from latrans.numcodecs import Latrans

    with arrays.open_source(item.source) as source:
        shape = tuple(source.shape)
        if len(shape) != 3 or shape[1] * shape[2] > _SMALL_PLANE or shape[0] < 500:
            return []
        planes = np.ascontiguousarray(source[...])
    chunks = [planes[i % len(planes)] for i in range(_SMALL_CHUNKS)]
    names = (
        models.split(",") if models else [m.name for m, _ in choose_model.candidates(planes, None)]
    )
    return [_small(f"latrans {name}", Latrans(name), chunks) for name in names]


def _small(label: str, codec: Any, chunks: list[Array]) -> Small:
    frames = codec.encode_batch(chunks)
    back = codec.decode_batch(frames)
    assert all(np.array_equal(a, b) for a, b in zip(chunks, back, strict=True))
    few = chunks[: len(chunks) // 10]
    seconds = [
        _median_seconds(work)
        for work in (
            lambda: codec.encode_batch(chunks),
            lambda: codec.decode_batch(frames),
            lambda: [codec.encode(c) for c in few],
            lambda: [codec.decode(f) for f in frames[: len(few)]],
        )
    ]
    return Small(
        label,
        chunks[0].shape,
        (len(chunks) / seconds[0], len(chunks) / seconds[1]),
        (1e3 * seconds[2] / len(few), 1e3 * seconds[3] / len(few)),
    )


def _median_seconds(work: Callable[[], object], runs: int = 3) -> float:
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)
