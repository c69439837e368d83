"""Inputs of the shipped codecs' golden files, and how to write these files anew.

``python tests/shipped.py`` replaces every ``codecs/*/golden.json``, with names those of the codecs
named: only for a commit that changes output bytes, and says so.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

import numpy as np

from latrans import Codec, open_model
from places import ROOT

CODECS = ROOT / "codecs"


def inputs(name: str) -> dict[str, tuple[np.ndarray[Any, Any], dict[str, Any]]]:
    """Small arrays made by integer arithmetic alone, with the options of their codec."""
    y, x = np.mgrid[0:48, 0:80]
    # Squares, or zstd finds the pattern.
    noise = (x * x * 7919 + y * y * 104729 + x * y * 31337) * 2654435761 % 2**32 >> 27
    picture = (x * y // 40 + 3 * noise) % 250
    if name.startswith("digits"):
        rows, columns = np.mgrid[0:28, 0:28]
        squared = (rows - 13) ** 2 + (columns - 14) ** 2
        rings = [np.clip(400 - 160 * abs(squared - r * r) // r, 0, 255) for r in (5, 6, 7)]
        edges = (columns * 7919 + rows * 104729) * 2654435761 % 2**32 >> 24
        rings = [np.where((ring > 0) & (ring < 255), edges, ring) for ring in rings]
        return {
            "rings": (np.stack(rings).astype(np.uint8), {}),
            "rings lossy": (np.stack(rings).astype(np.uint8), {"mode": "lossy"}),
        }
    if name.startswith("series"):
        t = np.arange(5000)
        wave = (t % 200 - 100) ** 2 // 50 + (t * 7919 % 13)
        pair = np.stack([wave, wave // 2 + t % 3]).astype(np.int16)
        return {"wave": (wave.astype(np.int16), {}), "pair": (pair, {"axes": "ct"})}
    if name.startswith("field"):
        field = (picture.astype(np.float32) + x / np.float32(8)).astype(np.float32)
        stack = np.stack([field, field + np.float32(0.5)])
        bounded = {"mode": "bounded", "max_error": 0.25, "axes": "zyx"}
        return {"field": (field, {}), "stack bounded": (stack, bounded)}
    if name.startswith("table"):
        t = np.arange(5000)
        cents = (t * t // 700 % 4000 + t * 7919 % 13) * 5
        table = np.stack([cents / 100, np.where(t % 97 == 0, np.nan, t // 3), cents // 7], 1)
        return {"columns": (table, {"axes": "tc"}), "cents": (cents / 100, {})}
    stack = np.stack([picture, picture // 2 + noise]).astype(np.uint16)
    colours = np.stack([picture, picture // 2 + noise, 250 - picture], -1).astype(np.uint8)
    if name.startswith("rgb"):
        deep = colours * np.uint16(16) + noise[..., None].astype(np.uint16)
        return {"colours": (colours, {}), "deep": (deep, {})}
    if "lossy" in name:
        lossy = {"mode": "lossy"}
        return {
            "picture": (picture.astype(np.uint8), {**lossy, "quality": 45}),
            "colours": (colours, lossy),
            "stack by step": (stack * np.uint16(100), {**lossy, "axes": "zyx", "step": 900.0}),
        }
    return {
        "picture": (picture.astype(np.uint8), {}),
        "stack": (stack, {"axes": "zyx"}),
        "picture bounded": (stack[0], {"mode": "bounded", "max_error": 2}),
    }


def measured(name: str) -> dict[str, Any]:
    """What golden.json of a codec should hold."""
    frames = {}
    for label, (array, options) in inputs(name).items():
        frame = Codec(name, **options).encode(array)
        decoded = Codec(name).decode(frame)
        frames[label] = {
            "nbytes": len(frame),
            "frame_sha256": hashlib.sha256(frame).hexdigest(),
            "decoded_sha256": hashlib.sha256(decoded.tobytes()).hexdigest(),
        }
    return {"model_sha256": open_model(name).digest, "frames": frames}


if __name__ == "__main__":
    wanted = sys.argv[1:]
    for model in sorted(CODECS.glob("*/model.safetensors")):
        if wanted and model.parent.name not in wanted:
            continue
        text = json.dumps(measured(model.parent.name), indent=1)
        (model.parent / "golden.json").write_text(text + "\n", "utf-8")
