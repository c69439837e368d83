"""Summary: what a transfer did, block by block and in all."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Failure:
    """A chunk that is not in the target, and why."""

    array: str
    chunk: tuple[int, ...]
    reason: str

    def __str__(self) -> str:
        return f"{self.array or 'array'} chunk {self.chunk}: {self.reason}"


@dataclass(frozen=True)
class Record:
    """What moving one block did.

    Attributes
    ----------
    array, block : str, int
        Which block: path of the array inside the target, number in its grid.
    n_chunks : int
        Chunks of the target in the block, or shards.
    nbytes : int
        Bytes of its samples.
    read_nbytes, stored_nbytes : int
        Bytes read from the source's store (those of its samples where it is none) and written to
        the target's.
    n_different, worst : int, float
        Samples that are not identical, and the largest absolute error.
    n_gets, n_puts : int
        Requests to the stores.
    seconds : float
    failures : tuple of Failure
    """

    array: str
    block: int
    n_chunks: int = 0
    nbytes: int = 0
    read_nbytes: int = 0
    stored_nbytes: int = 0
    n_different: int = 0
    worst: float = 0.0
    n_gets: int = 0
    n_puts: int = 0
    seconds: float = 0.0
    failures: tuple[Failure, ...] = ()

    def to_json(self) -> bytes:
        """The record as it is kept beside the data of an unfinished target."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Record:
        """A record that was kept; those are of blocks without failures."""
        return cls(**{**json.loads(data), "failures": ()})


@dataclass(frozen=True)
class Summary:
    """What a transfer did in all.

    Attributes
    ----------
    n_blocks, n_chunks : int
        In all, those of earlier runs included.
    n_resumed : int
        Blocks that an earlier run had finished.
    nbytes, read_nbytes, stored_nbytes : int
        Bytes of samples, bytes read from the source's store, bytes written to the target's.
    n_different, worst : int, float
        Samples that are not identical, and the largest absolute error; 0 where nothing was
        verified.
    n_gets, n_puts : int
        Requests to the stores.
    seconds : float
        Of this run, start to end.
    task_seconds : float
        Spent in blocks, all workers and runs together.
    moved_nbytes : int
        Bytes of samples that this run moved.
    failures : tuple of Failure
        Chunks that are not in the target.
    exact : tuple of str
        Arrays that were stored losslessly though others were not, each with what it is.
    """

    n_blocks: int = 0
    n_resumed: int = 0
    n_chunks: int = 0
    nbytes: int = 0
    read_nbytes: int = 0
    stored_nbytes: int = 0
    n_different: int = 0
    worst: float = 0.0
    n_gets: int = 0
    n_puts: int = 0
    seconds: float = 0.0
    task_seconds: float = 0.0
    moved_nbytes: int = 0
    failures: tuple[Failure, ...] = ()
    exact: tuple[str, ...] = ()

    @classmethod
    def of(cls, earlier: Iterable[Record], new: Iterable[Record], seconds: float) -> Summary:
        """Add up records of earlier runs and of this one."""
        earlier, new = list(earlier), list(new)
        records = earlier + new

        def total(name: str) -> Any:
            return sum(getattr(record, name) for record in records)

        return cls(
            n_blocks=len(records),
            n_resumed=len(earlier),
            n_chunks=total("n_chunks"),
            nbytes=total("nbytes"),
            read_nbytes=total("read_nbytes"),
            stored_nbytes=total("stored_nbytes"),
            n_different=total("n_different"),
            worst=max((record.worst for record in records), default=0.0),
            n_gets=total("n_gets"),
            n_puts=total("n_puts"),
            seconds=seconds,
            task_seconds=total("seconds"),
            moved_nbytes=sum(record.nbytes for record in new),
            failures=tuple(failure for record in new for failure in record.failures),
        )

    @property
    def ratio(self) -> float:
        """Bytes of samples by bytes stored."""
        return self.nbytes / self.stored_nbytes if self.stored_nbytes else 0.0

    @property
    def mb_per_second(self) -> float:
        """Megabytes (10**6) of samples that this run moved per second."""
        return self.moved_nbytes / self.seconds / 1e6 if self.seconds else 0.0

    def __str__(self) -> str:
        lines = [
            f"bytes in      {self.nbytes:,} ({self.read_nbytes:,} as stored)",
            f"bytes out     {self.stored_nbytes:,}",
            f"ratio         {self.ratio:.3f}",
            f"speed         {self.mb_per_second:.1f} MB/s, {self.seconds:.1f} s",
            f"worst error   {self.worst:g}",
            f"blocks        {self.n_blocks}, {self.n_resumed} of them by an earlier run",
            f"failed chunks {len(self.failures)}",
        ]
        if self.exact:
            lines.append(f"kept exact    {', '.join(self.exact)}")
        return "\n".join(lines + [f"  {failure}" for failure in self.failures[:20]])
