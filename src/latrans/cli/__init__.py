"""The command line: ``latrans train | suggest | compress | decompress | verify | inspect | models |
bench | demo``.

Exit codes: 0 done; 1 `verify` found a violation (or `demo` a wrong array), or the system failed
half-way, as a full disk does; 2 the command could not be carried out; 130 it was interrupted.  Then
one line on stderr says why.  Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from .. import __version__
from ..errors import LatransWarning
from . import bench, command, compress, decompress, demo, inspect, models, suggest, train, verify

_COMMANDS = (suggest, train, compress, decompress, verify, inspect, models, bench, demo)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    args = _parser().parse_args(argv)
    target = getattr(args, "target", None) or getattr(args, "out", None)
    with warnings.catch_warnings():
        warnings.showwarning = _warn
        return command.run(lambda: int(args.run(args)), None if target is None else str(target))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="latrans",
        description="A compression codec that learns your data, for Zarr and numcodecs.",
    )
    parser.add_argument("--version", action="version", version=f"latrans {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in _COMMANDS:
        module.add_command(commands)
    return parser


def _warn(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """Print our own warnings as one line, those of libraries as Python does."""
    if issubclass(category, LatransWarning):
        print(f"latrans: warning: {message}", file=sys.stderr)
        return
    print(warnings.formatwarning(message, category, *where[:2]), file=sys.stderr, end="")
