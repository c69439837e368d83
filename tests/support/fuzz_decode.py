"""Fuzzing of the decoder.

``python tests/fuzz_decode.py -max_total_time=600`` (needs ``pip install atheris``; options are
libFuzzer's) is guided by coverage of the Python code.  It starts from small frames of all kinds,
mends the checksum after every mutation, so that parsers meet the damage, and decodes.  Only the
documented errors may come out.  ``--blind 600`` mutates the same frames at random for so many
seconds and needs nothing else: for a core built by ``.ci/sanitize``, whose runtime leaves
libFuzzer without coverage.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import latrans
import latrans.chunk.decode
import latrans.chunk.lossy
import latrans.codec
from hostile import sealed
from latrans.errors import CodecError, ModelNotFoundError
from small_frames import small_frames
from synthetic_models import KINDS, make_model

# Held for as long as the fuzzer runs: frames find models that are open.
MODELS = {kind: latrans.open_model(make_model(kind)) for kind in KINDS}
SHIPPED = ("image-1", "rgb-1", "series-1", "field-1", "digits-1", "image-lossy-1")
CODEC = latrans.Codec()


def corpus() -> list[bytes]:
    """Bodies of frames, without their checksums."""
    frames = [small.frame for small in small_frames(MODELS).values()]
    rng = np.random.default_rng(0)
    for name in SHIPPED:
        mode = "lossy" if name == "image-lossy-1" else "lossless"
        shape = {"series-1": (2, 300), "rgb-1": (12, 14, 3), "digits-1": (2, 28, 28)}
        array = rng.integers(0, 40, shape.get(name, (20, 24))).cumsum(-1).astype(np.uint8)
        if name == "field-1":
            array = array.astype(np.float32) / 7
        frames.append(latrans.encode(array, model=name, mode=mode))
    return [frame[:-4] for frame in frames]


def decode(data: bytes) -> None:
    """One attempt; anything but the documented errors stops the fuzzer."""
    frame = sealed(data)
    for use in (CODEC.decode, CODEC.preview):
        try:
            use(frame)
        except (CodecError, ModelNotFoundError):
            continue


def guided(options: list[str]) -> None:
    """Let libFuzzer choose what to mutate."""
    import atheris

    with tempfile.TemporaryDirectory() as folder:
        for i, body in enumerate(corpus()):
            (Path(folder) / f"{i}").write_bytes(body)
        # What frames claim is bounded by their length: short ones keep every attempt short.
        limits = ["-max_len=700", "-timeout=60", "-rss_limit_mb=4096"]
        atheris.instrument_all()  # instrument_imports does not see through editable installs
        atheris.Setup([sys.argv[0], *limits, *options, folder], decode)
        atheris.Fuzz()


def blind(seconds: float) -> None:
    """Mutate at random, a few bytes at a time."""
    bodies = [body for body in corpus() if len(body) <= 700]
    rng = np.random.default_rng()
    end, n = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        body = bytearray(bodies[rng.integers(len(bodies))])
        for _ in range(rng.integers(1, 5)):
            at = int(rng.integers(len(body)))
            if rng.random() < 0.7:
                body[at] = rng.integers(256)
            elif rng.random() < 0.5:
                del body[at : at + int(rng.integers(1, 9))]
            else:
                body[at:at] = rng.bytes(int(rng.integers(1, 9)))
            if not body:
                break
        decode(bytes(body))
        n += 1
    print(f"{n} damaged frames: nothing but the documented errors")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--blind"]:
        blind(float(sys.argv[2]))
    else:
        guided(sys.argv[1:])
