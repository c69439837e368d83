"""Damaged frames and models, decoded in a process with little memory and a clock.

``python tests/support/hostile.py frames 2 7`` takes every seventh small frame from the second
on, mends the checksum after each mutation, so that parsers meet the damage, and decodes.
``models plane`` does the like to a model file.  What happens beside the documented errors is
printed as JSON.
"""

from __future__ import annotations

import json
import resource
import signal
import struct
import sys
import traceback
import warnings
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

MEMORY_NBYTES = 2 << 30
SECONDS = 20  # for one decoding; the slowest take one


def sealed(body: bytes | bytearray) -> bytes:
    """A frame's bytes before the checksum, with a checksum that fits them."""
    return bytes(body) + struct.pack("<I", zlib.crc32(bytes(body)))


def mutations(body: bytes, n_random: int) -> Iterator[tuple[str, bytes]]:
    """Cuts, flips, deletions, giant numbers at every place, and random damage."""
    step = 1 if len(body) < 400 else 9
    for i in range(0, len(body), step):
        yield f"cut at {i}", body[:i]
        yield f"without byte {i}", body[:i] + body[i + 1 :]
        for flip in (0x01, 0x10, 0x80, 0xFF):
            yield f"byte {i} ^ {flip}", body[:i] + bytes((body[i] ^ flip,)) + body[i + 1 :]
        for number in (b"\xff\xff\x3f", b"\xff\xff\xff\xff\x0f", b"\xff" * 8 + b"\x01"):
            yield f"varint {number.hex()} at {i}", body[:i] + number + body[i + 1 :]
    rng = np.random.default_rng(len(body))
    for _ in range(n_random):
        damaged = bytearray(body)
        for _ in range(rng.integers(1, 6)):
            at, other = rng.integers(2, len(damaged), 2).tolist()
            if rng.random() < 0.6:
                damaged[at] = rng.integers(256)
            else:
                damaged[at : at + 3] = damaged[other : other + 4]
        yield f"bytes {damaged.hex()}", bytes(damaged)


def model_mutations(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Flips and cuts in the header and, at random places, in the tensors; other numbers."""
    end = 8 + int.from_bytes(data[:8], "little")
    rng = np.random.default_rng(len(data))
    for i in [*range(0, end, 5), *rng.integers(end, len(data), 200).tolist()]:
        yield f"cut at {i}", data[:i]
        for flip in (0x01, int(rng.integers(2, 256))):
            yield f"byte {i} ^ {flip}", data[:i] + bytes((data[i] ^ flip,)) + data[i + 1 :]
    header = data[8:end]
    for i in range(len(header)):
        if header[i : i + 1].isdigit():
            for number in (b"0", b"9", b"-1", b"99999999999", b"1e3", b"null", b"[]"):
                text = header[:i] + number + header[i + 1 :]
                yield (
                    f"{number.decode()} at {i}",
                    struct.pack("<Q", len(text)) + text + data[end:],
                )


class Watch:
    """Runs something that may fail in documented ways only, and notes the rest."""

    def __init__(self, *allowed: type[Exception]) -> None:
        self.allowed = allowed
        self.problems: list[str] = []
        self.counts = {"refused": 0, "accepted": 0}

    def run(self, what: str, do: Callable[[], Any]) -> None:
        signal.alarm(SECONDS)
        try:
            do()
            self.counts["accepted"] += 1
        except self.allowed:
            self.counts["refused"] += 1
        except BaseException as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            self.problems.append(f"{what}: {error!r:.200} at {last.filename}:{last.lineno}")
        finally:
            signal.alarm(0)


def frames(first: int, step: int, thorough: bool) -> Watch:
    import latrans
    from latrans.errors import CodecError, ModelNotFoundError
    from small_frames import small_frames
    from synthetic_models import KINDS, make_model

    models = {kind: latrans.open_model(make_model(kind)) for kind in KINDS}
    codec = latrans.Codec()
    watch = Watch(CodecError, ModelNotFoundError)  # a flip may hit the digest
    for name, small in list(small_frames(models).items())[first::step]:
        body = small.frame[:-4]
        uses: list[Callable[[bytes], Any]] = [codec.decode]
        if latrans.inspect(small.frame).latent_nbytes:
            uses.append(codec.preview)
        for what, damaged in mutations(body, 200 if thorough else 0):
            for use in uses:
                watch.run(f"{name}, {what}", partial(use, sealed(damaged)))
            if not thorough and watch.counts["refused"] > 300:
                break
    return watch


def models(kind: str) -> Watch:
    import latrans
    from latrans.errors import ModelError
    from latrans.models import store
    from latrans.models.model import Model
    from synthetic_models import make_model

    data = make_model(kind).data
    array = (90 + 40 * np.sin(np.indices((2, 8, 8)).sum(0) / 3)).astype(np.uint8)
    watch = Watch(ModelError)

    def use(damaged: bytes) -> None:
        codec = latrans.Codec(Model.from_bytes(damaged))
        try:
            found = codec.decode(codec.encode(array))
        finally:
            store._loaded.clear()
        if not np.array_equal(found, array):
            raise AssertionError("a model that was accepted is not lossless")

    for what, damaged in model_mutations(data):
        watch.run(what, partial(use, damaged))
    return watch


def too_slow(*_: object) -> None:
    raise TimeoutError(f"took more than {SECONDS} seconds")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_NBYTES, MEMORY_NBYTES))
    signal.signal(signal.SIGALRM, too_slow)
    warnings.simplefilter("error")
    if sys.argv[1] == "frames":
        result = frames(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "thorough")
    else:
        result = models(sys.argv[2])
    json.dump({"problems": result.problems, **result.counts}, sys.stdout)
