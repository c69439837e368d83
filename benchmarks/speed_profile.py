"""Profile: which stage of the data path takes which share of the time."""

from __future__ import annotations

import cProfile
import pstats
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from latrans.cli import console
from speed_measure import Contender

# Function names in a module, or the whole module (None), by the stage they belong to.
_STAGES: dict[tuple[str, str | None], str] = {
    ("residual/native.py", "classify"): "predict and classify",
    ("residual/native.py", "decode"): "predict and decode",
    ("residual/native.py", "decode_section"): "predict and decode",
    ("residual/native.py", "encode"): "entropy coding",
    ("residual/native.py", "contest"): "choose experts, predict and classify",
    ("residual/native.py", "_contest"): "choose experts, predict and classify",
    ("residual/native.py", "costs"): "choose experts, predict and classify",
    ("residual/native.py", "table_map"): "headers",
    ("residual/native_trials.py", None): "plan",
    ("residual/native.py", None): "plan",
    ("coding/rans/reference.py", None): "entropy coding",
    ("coding/rans/native.py", None): "entropy coding",
    ("residual/plan.py", None): "plan",
    ("residual/trials.py", None): "plan",
    ("residual/plan_input.py", None): "plan",
    ("residual/plan_search.py", None): "plan",
    ("residual/fit.py", None): "plan",
    ("chunk/pieces.py", None): "plan",
    ("residual", None): "headers",
    ("format", None): "headers",
    ("fallback", None): "fallback",
    ("transform", None): "transform",
    ("models/autoencoder.py", None): "autoencoder",
    ("coding/latents.py", None): "autoencoder",
    ("engine", None): "autoencoder",
}
_REST = "values and maps"


def report(contender: Contender, array: np.ndarray[Any, Any]) -> str:
    """Shares of encoding and of decoding, in percent."""
    data = contender.encode(array)
    shares = {
        "encode": _shares(lambda: contender.encode(array)),
        "decode": _shares(lambda: contender.decode(data)),
    }
    stages = sorted(
        set(shares["encode"]) | set(shares["decode"]),
        key=lambda stage: -shares["encode"].get(stage, 0),
    )
    lines = [
        [stage, *(f"{100 * shares[what].get(stage, 0):.1f}" for what in shares)] for stage in stages
    ]
    return console.table([f"{contender.label}, % of time", *shares], lines)


def _shares(work: Any) -> dict[str, float]:
    profile = cProfile.Profile()
    profile.runcall(work)
    seconds: dict[str, float] = defaultdict(float)
    for (file, _, name), entry in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        _, _, own, _, callers = entry
        stage = _stage(file, name)
        if stage is not None or not callers:
            seconds[stage or _REST] += own
            continue
        # NumPy and the like count for who called them.
        for (caller_file, _, caller), (_, _, part, _) in callers.items():
            seconds[_stage(caller_file, caller) or _REST] += part
    whole = sum(seconds.values()) or 1.0
    return {stage: taken / whole for stage, taken in seconds.items()}


def _stage(file: str, name: str) -> str | None:
    """Stage of a function of the library; None for all others."""
    parts = Path(file).parts
    if "latrans" not in parts:
        return None
    inside = "/".join(parts[len(parts) - 1 - parts[::-1].index("latrans") + 1 :])
    folder = inside.partition("/")[0]
    for key in ((inside, name), (inside, None), (folder, None)):
        if key in _STAGES:
            return _STAGES[key]
    return _REST
