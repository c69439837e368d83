"""What the benchmarks of sizes and of speed are both asked, and how both end.

Importing this, before NumPy, keeps them on one thread: a second BLAS thread would blur the times.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

if TYPE_CHECKING:
    from ratio_files import Item


def parser(description: str | None, modes: str, max_samples: int | None) -> argparse.ArgumentParser:
    """The options that both have."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", metavar="DATA", type=Path)
    parser.add_argument("--axes", help="of arrays that no table describes, as in zyx")
    parser.add_argument("--only", default="", metavar="TEXT,...", help="names that contain one")
    parser.add_argument("--modes", default=modes, metavar="MODE,...", help=f"default: {modes}")
    parser.add_argument(
        "--max-samples", type=int, default=max_samples, metavar="N", help="of the middle of arrays"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="needs matplotlib")
    return parser


def items(args: argparse.Namespace) -> Iterator[Item]:
    """The arrays that were asked for."""
    import ratio_files

    words = [word for word in args.only.split(",") if word]
    for item in ratio_files.find(args.data, args.axes):
        if not words or any(word in item.name for word in words):
            yield item


def run(name: str, measure: Callable[[], list[str]]) -> int:
    """Exit status of a benchmark whose `measure` returns what did not come back as promised.

    Then it is 1, and 2 where the benchmark cannot run; otherwise it ends as commands do.
    """
    from latrans.cli import command
    from latrans.errors import LatransError

    def work() -> int:
        try:
            wrong = measure()
        except LatransError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 2
        for what in wrong:
            print(f"{what}: not what was promised", file=sys.stderr)
        return 1 if wrong else 0

    return command.run(work)
