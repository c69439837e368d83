"""``latrans inspect``: what a frame, or the chunks of a Zarr array, say about themselves."""

from __future__ import annotations

import argparse
import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import CodecError, LatransError, ModelError
from ..transfer import sources
from . import arrays, chunks, console


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "inspect",
        help="show what a frame, or a Zarr array's chunks, record",
        description="Read headers only: works without the model that wrote the data.",
    )
    parser.add_argument("path", metavar="FRAME|ZARR", help="a file of one frame, or a Zarr array")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arrays.add_models(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    arrays.take_models(args)
    path = Path(args.path)
    found = _frame(path) if path.is_file() and path.suffix != ".zip" else _array(args.path)
    print(json.dumps(found, indent=2) if args.json else _text(found))
    return 0


def _frame(path: Path) -> dict[str, Any]:
    import latrans

    from ..transfer.sources import advice

    frame = path.read_bytes()
    try:
        info = latrans.inspect(frame)
    except CodecError as error:
        raise CodecError(f"{path} is not a frame ({error}): {advice(path)}") from error
    return {**asdict(info), "dtype": str(info.dtype), "shape": list(info.shape)}


def _array(path: str) -> dict[str, Any]:
    from ..transfer.progress import unfinished
    from ..zarr.frame_reader import configuration as configuration_of

    try:
        array = arrays.open_zarr(path)
    except ModelError:  # one that the store keeps is damaged: headers do not need it
        array = sources.open_zarr(path)
    configuration = configuration_of(array)
    with suppress(LatransError):  # one that is inline is named, too, unless it is damaged
        _open_inline(configuration)
    records = chunks.read_records(array)
    totals = list(records.kinds.values())
    n_chunks = sum(t.n_chunks for t in totals)
    n_bytes = sum(t.n_bytes for t in totals)
    n_fallback = sum(t.n_chunks for kind, t in records.kinds.items() if kind.fallback)
    return {
        "array": {
            "dtype": str(array.dtype),
            "shape": list(array.shape),
            "chunk shape": list(array.chunks),
            "zarr format": array.metadata.zarr_format,
            "complete": unfinished(array) is None,
            "configuration": _brief(configuration),
        },
        "chunks": {
            "stored": n_chunks,
            "fallback share": n_fallback / n_chunks if n_chunks else 0.0,
            "bytes": n_bytes,
            "latent bytes": sum(t.latent_nbytes for t in totals),
            "residual bytes": sum(t.residual_nbytes for t in totals),
            "bits per sample": n_bytes * 8 / array.size if array.size else 0.0,
        },
        "kinds": [
            {**asdict(kind), **asdict(total)}
            for kind, total in sorted(records.kinds.items(), key=lambda item: -item[1].n_chunks)
        ],
    }


def _open_inline(configuration: dict[str, Any] | None) -> None:
    """Make the model known that a configuration holds itself."""
    from ..models.store import open_model

    model = str((configuration or {}).get("model", ""))
    if model.startswith("data:"):
        open_model(model)


def _brief(configuration: dict[str, Any] | None) -> dict[str, Any] | None:
    """A configuration whose model, where it is inline, is named by its digest."""
    from ..models.store import brief

    if not configuration or "model" not in configuration:
        return configuration
    return {**configuration, "model": brief(str(configuration["model"]))}


def _text(found: dict[str, Any]) -> str:
    if "kinds" not in found:
        return console.fields(list(found.items()))
    lines = [console.fields([*found["array"].items(), *found["chunks"].items()])]
    header = ("model", "version", "digest", "mode", "max error", "latents", "chunks", "bytes")
    rows = [
        (
            "fallback" if kind["fallback"] else kind["model_name"] or "not found",
            "-" if kind["fallback"] else str(kind["model_version"]),
            kind["model_digest"] or "-",
            kind["mode"],
            "-" if kind["max_error"] is None else f"{kind['max_error']:g}",
            kind["latent_dtype"],
            str(kind["n_chunks"]),
            str(kind["n_bytes"]),
        )
        for kind in found["kinds"]
    ]
    return "\n".join([*lines, "", console.table(header, rows)])
