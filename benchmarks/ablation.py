"""What each part of the coder is worth: sizes without it, on the same arrays, per category.

    python benchmarks/ablation.py ../shared/data --max-samples 262144

DATA as for ratio.py.  A part is left out of the encoder alone: models stay as they are, and a
model trained without the part might make up for some of it.  Figures are the growth of lossless
frames, geometric mean over the arrays of a category, in per cent; fallbacks count as they come.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import ratio_files
from latrans import Codec
from latrans.chunk import choose_map, crop, pieces
from latrans.cli import arrays
from latrans.maps import apply
from latrans.maps.base import Identity, Offset
from latrans.maps.two_layer import TwoLayer
from latrans.residual import plan, plan_search, protocol, table_map
from latrans.residual.predictor import NO_NETWORK
from ratio_measure import refuse_trained

PLAIN_MAPS = (Identity, Offset, TwoLayer)


@contextlib.contextmanager
def without(part: str) -> Iterator[None]:
    """The encoder without one of its parts."""
    with contextlib.ExitStack() as stack:

        def patch(module: Any, name: str, value: Any) -> None:
            stack.enter_context(mock.patch.object(module, name, value))

        if part == "value maps":
            candidate_maps = apply.candidate_maps
            patch(
                apply,
                "offers",
                lambda values: [m for m in candidate_maps(values) if isinstance(m, PLAIN_MAPS)],
            )
            patch(choose_map, "_axes_worth_trying", lambda layout, planes: [])
        elif part == "own linear predictor":
            patch(plan_search, "plan", functools.partial(plan.plan, may_fit=False))
        elif part == "network":
            patch(plan_search, "_expert", lambda *a: NO_NETWORK)
        elif part == "choice of experts":
            patch(plan_search, "_expert", lambda *a: 0)
        elif part == "table remap":
            patch(protocol, "best_map", lambda counts, costs: table_map.same())
        elif part == "references":
            patch(pieces, "_plane_candidates", lambda layout, planes: [()] * layout.n_planes)
            patch(pieces, "_ranked_channels", lambda tracks: [()] * len(tracks))
        yield


PARTS = (
    "value maps",
    "own linear predictor",
    "references",
    "network",
    "choice of experts",
    "table remap",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", metavar="DATA", type=Path)
    parser.add_argument("--axes", help="of arrays that no table describes")
    parser.add_argument("--max-samples", type=int, default=1 << 18, metavar="N")
    args = parser.parse_args()
    items = ratio_files.find(args.data, args.axes)
    refuse_trained(items, "auto")
    growth: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        with arrays.open_source(item.source) as source:
            array = crop.crop(source, item.axes, args.max_samples)
        codec = Codec("auto", axes=item.axes)
        whole = len(codec.encode(array))
        for part in PARTS:
            with without(part):
                growth[item.category][part].append(np.log(len(codec.encode(array)) / whole))
    print("| without | " + " | ".join(growth) + " |")
    print("|---|" + "---|" * len(growth))
    for part in PARTS:
        cells = [f"{100 * np.expm1(np.mean(parts[part])):+.1f}" for parts in growth.values()]
        print(f"| {part} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
