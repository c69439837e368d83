"""``latrans models``: the models that latrans finds."""

from __future__ import annotations

import argparse
from typing import Any

from . import console


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "models",
        help="list the models that latrans finds",
        description="List the models that come with latrans and those in the user's cache.",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from ..models.store import list_models

    rows = [
        (
            model.name,
            str(model.version),
            model.digest[:16],
            console.size(model.nbytes),
            model.summary,
        )
        for model in list_models()
    ]
    print(console.table(("name", "version", "digest", "size", "summary"), rows))
    return 0
