"""Blocks: an array cut along its chunk grid into pieces of whole chunks, each known by number."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

Block = tuple[slice, ...]

BLOCK_NBYTES = 64 << 20  # what is held of an array at a time, unless one chunk is larger


@dataclass(frozen=True)
class BlockGrid:
    """Boxes of one shape that cover an array, in C order; those at its end are cut off."""

    shape: tuple[int, ...]
    edge: tuple[int, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """Boxes along each dimension."""
        return tuple(-(-n // step) for n, step in zip(self.shape, self.edge, strict=True))

    def __len__(self) -> int:
        return math.prod(self.counts)

    def __getitem__(self, i: int) -> Block:
        if not 0 <= i < len(self):
            raise IndexError(f"block {i} of {len(self)}")
        block = []
        for n, step, count in zip(
            reversed(self.shape), reversed(self.edge), reversed(self.counts), strict=True
        ):
            i, k = divmod(i, count)
            block.append(slice(k * step, min((k + 1) * step, n)))
        return tuple(reversed(block))

    def __iter__(self) -> Iterator[Block]:
        return (self[i] for i in range(len(self)))

    def position(self, block: Block) -> tuple[int, ...]:
        """Which box starts where this block starts, along each dimension."""
        return tuple(s.start // step for s, step in zip(block, self.edge, strict=True))

    def within(self, block: Block) -> list[Block]:
        """Every box of this grid that lies in a block of a coarser grid."""
        shape = tuple(s.stop - s.start for s in block)
        return [
            tuple(
                slice(s.start + part.start, s.start + part.stop)
                for s, part in zip(block, box, strict=True)
            )
            for box in BlockGrid(shape, self.edge)
        ]


def block_grid(
    shape: tuple[int, ...], chunks: tuple[int, ...], itemsize: int, nbytes: int = BLOCK_NBYTES
) -> BlockGrid:
    """A grid of blocks of whole chunks, each of at most `nbytes`, or of a single chunk.

    Examples
    --------
    >>> block_grid((100, 100), (10, 10), 2, 5000).edge
    (20, 100)
    """
    edge = [max(1, n) for n in chunks]
    for axis in reversed(range(len(shape))):
        wanted = max(1, nbytes // (math.prod(edge) * itemsize))
        edge[axis] = min(wanted * edge[axis], max(1, -(-shape[axis] // edge[axis])) * edge[axis])
        if edge[axis] < shape[axis]:
            break
    return BlockGrid(tuple(shape), tuple(edge))
