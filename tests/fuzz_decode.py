"""Coverage-guided fuzzing of the decoder.

``python tests/fuzz_decode.py -max_total_time=600`` (needs ``pip install atheris``; options are
libFuzzer's) starts from small frames of all kinds, mends the checksum after every mutation, so
that parsers meet the damage, and decodes.  Only the documented errors may come out.  With a core
built by ``.ci/sanitize`` the same finds errors of memory and undefined behaviour in C++.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris
import numpy as np

import latrans
import latrans.chunk
import latrans.codec
import latrans.lossy
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


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for i, body in enumerate(corpus()):
            (Path(folder) / f"{i}").write_bytes(body)
        # What frames claim is bounded by their length: short ones keep every attempt short.
        options = ["-max_len=700", "-timeout=60", "-rss_limit_mb=4096", *sys.argv[1:]]
        atheris.instrument_all()  # instrument_imports does not see through editable installs
        atheris.Setup([sys.argv[0], *options, folder], decode)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
