"""``latrans train``: fit a model to your own data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from . import arrays, console


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "train",
        help="fit a model to your own data",
        description="Fit a model to arrays on disk and write it to one file, which `compress "
        "--model` and `latrans.Codec(model=...)` take. Needs latrans[train], that is PyTorch.",
    )
    parser.add_argument(
        "data",
        nargs="+",
        metavar="DATA",
        help=".npy, .npz or idx files (also .gz), images, folders or 'patterns' of images, Zarr "
        "arrays; a folder, for recipes that name their files",
    )
    parser.add_argument("--recipe", default="image", help="name or TOML file (default: image)")
    parser.add_argument(
        "--from",
        dest="start",
        metavar="MODEL",
        help="continue from a model, such as image-1, instead of training from scratch",
    )
    parser.add_argument("--out", required=True, metavar="MODEL.safetensors")
    parser.add_argument("--axes", help="one letter per dimension, as in zyx or tc")
    parser.add_argument("--name", help="name of the model (default: the recipe's)")
    parser.add_argument("--seed", type=int, help="default: the recipe's")
    parser.add_argument("--steps", type=int, metavar="N", help="default: the recipe's")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    import latrans

    if not args.out.endswith(".safetensors"):
        raise ConfigError(f"target {args.out} does not end in .safetensors")
    if Path(args.out).is_dir():
        raise ConfigError(f"{args.out} is a folder, expected the name of a file to write")
    data = args.data[0] if len(args.data) == 1 else args.data
    with arrays.replacing(args.out, args.overwrite) as partial:
        model = latrans.fit(
            data,
            args.recipe,
            axes=args.axes,
            name=args.name,
            seed=args.seed,
            steps=args.steps,
            start=args.start,
        )
        model.save(partial)
    print(
        f"{args.out}: {model.name}, digest {model.digest[:16]}, {console.size(len(model.data))}, "
        f"{model.training['bits_per_sample']:.3f} bits per sample in training"
    )
    return 0
