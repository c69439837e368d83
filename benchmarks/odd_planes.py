"""Which odd planes are found in stacks: faults of known kinds are planted one at a time.

Each file is one stack, planes first: .npy, .npz or a Zarr array. Every fault replaces the plane at
a third and the one at two thirds of the stack, each on its own; all other stacks are as they are.
Printed are how many of the planted planes `latrans.dask.unlike` calls odd by `plane_scores` and
`likeness`, and how many planes it calls odd in the stacks as they are.

    python benchmarks/odd_planes.py a.npy b.zarr --rate 0.01
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from functools import partial
from typing import Any

import dask.array as da
import numpy as np

from latrans.cli import arrays, console
from latrans.dask import likeness, map_latents, plane_scores, unlike

Array = np.ndarray[Any, Any]
MODEL = "image-1"


def blurred(plane: Array, times: int = 8) -> Array:
    """A plane after some passes of a binomial filter, about a Gaussian of 2 pixels."""
    out = plane.astype(np.float64)
    for axis in (0, 1):
        for _ in range(times):
            padded = np.pad(out, [(1, 1) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
            n = out.shape[axis]
            before, after = np.take(padded, range(n), axis), np.take(padded, range(2, n + 2), axis)
            out = out / 2 + before / 4 + after / 4
    return out


def faults(stack: Array, i: int, rng: np.random.Generator) -> dict[str, Array]:
    """Plane `i` with a fault of each kind, in the dtype of the stack."""
    plane = stack[i].astype(np.float64)
    low, middle, high = np.percentile(stack, [2.5, 50, 97.5])
    rows, columns = plane.shape
    striped = plane.copy()
    striped[:, : columns // 3] = low
    kinds = {
        "blank": np.zeros_like(plane),
        "noise, 10 % of range": plane + rng.normal(0, (high - low) / 10, plane.shape),
        "blurred, 2 pixels": blurred(plane),
        "saturated, contrast x 3": (middle + 3 * (plane - middle)).clip(
            *np.percentile(stack, [0.5, 99.5])
        ),
        "doubled": stack[i - 1],
        "displaced by an eighth": np.roll(plane, (rows // 8, columns // 10), (0, 1)),
        "displaced by 5 pixels": np.roll(plane, (4, 3), (0, 1)),
        "contrast x 0.6": middle + 0.6 * (plane - middle),
        "a third of it black": striped,
    }
    if stack.dtype.kind == "f":
        return {kind: values.astype(stack.dtype) for kind, values in kinds.items()}
    limits = np.iinfo(stack.dtype)
    return {
        kind: np.rint(values).clip(limits.min, limits.max).astype(stack.dtype)
        for kind, values in kinds.items()
    }


def measured(stack: Array) -> tuple[Array, Array]:
    """Bits and latents of all planes."""
    blocks = da.from_array(stack, chunks=(1, *stack.shape[1:]))
    return plane_scores(blocks, MODEL, axes="zyx"), map_latents(blocks, MODEL, axes="zyx").compute()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stacks", nargs="+", metavar="STACK")
    parser.add_argument("--rate", type=float, default=0.01, help="of false alarms (default: 0.01)")
    args = parser.parse_args(argv)
    found: dict[str, list[bool]] = {}
    n_false = n_planes = 0
    rng = np.random.default_rng(0)
    odd = partial(unlike, rate=args.rate)
    for name in args.stacks:
        with ExitStack() as opened:
            stack = np.asarray(opened.enter_context(arrays.open_source(name))[...])
        bits, latents = measured(stack)
        false = odd(bits, likeness(latents))
        n_false, n_planes = n_false + int(false.sum()), n_planes + len(stack)
        for i in (len(stack) // 3, 2 * len(stack) // 3):
            for kind, plane in faults(stack, i, rng).items():
                (own_bits,), (own_latents,) = measured(plane[None])
                changed, seen = bits.copy(), latents.copy()
                changed[i], seen[i] = own_bits, own_latents
                found.setdefault(kind, []).append(bool(odd(changed, likeness(seen))[i]))
    rows = [(kind, f"{sum(hits)} of {len(hits)}") for kind, hits in found.items()]
    rows.append(("nothing planted", f"{n_false} of {n_planes}"))
    print(console.table(("planted", "called odd"), rows))


if __name__ == "__main__":
    main()
