"""Channels: bounded queues between threads, for streams that are worked on ahead of their use.

Whoever puts waits while the queue is full, so that a slow reader slows the writer down and memory
stays bounded; an error of the writer comes out at the reader; a reader that goes away ends the
writer.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

from ..errors import EngineError
from ..process import shutdown

Item = TypeVar("Item")

_PATIENCE_SECONDS = 0.1  # between looks at whether the other end is still there


class ChannelClosed(Exception):
    """The reading end is gone."""


class Channel(Generic[Item]):
    """A bounded queue with two ends.

    Parameters
    ----------
    size : int
        How many items may wait.
    """

    def __init__(self, size: int) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(size)
        self._gone = threading.Event()

    def put(self, item: Item) -> None:
        """Add an item, as soon as there is room; `ChannelClosed` where nobody reads any more."""
        self._put((item, None))

    def end(self, error: BaseException | None = None) -> None:
        """Say that nothing follows, or why."""
        try:
            self._put((None, error or StopIteration()))
        except ChannelClosed:
            return

    def close(self) -> None:
        """Let neither end wait for the other any more."""
        self._gone.set()

    def reader(self) -> ChannelReader[Item]:
        """The reading end."""
        return ChannelReader(self._queue, self._gone)

    def _put(self, entry: tuple[Any, BaseException | None]) -> None:
        while not self._gone.is_set():
            try:
                return self._queue.put(entry, timeout=_PATIENCE_SECONDS)
            except queue.Full:
                continue
        raise ChannelClosed


class ChannelReader(Generic[Item]):
    """Items of a channel, in order."""

    def __init__(self, items: queue.Queue[Any], gone: threading.Event) -> None:
        self._items, self._gone = items, gone

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        while True:
            if self._gone.is_set():
                raise StopIteration
            try:
                item, error = self._items.get(timeout=_PATIENCE_SECONDS)
                break
            except queue.Empty:
                continue
        if error is not None:
            self.close()
            raise error
        found: Item = item
        return found

    def close(self) -> None:
        """Read no further; whoever puts learns of it."""
        self._gone.set()

    def __del__(self) -> None:
        self.close()


def ahead(items: Iterable[Item], size: int) -> ChannelReader[Item]:
    """The same items, made by a thread of their own, up to `size` of them before they are used."""
    channel: Channel[Item] = Channel(size)

    def work() -> None:
        try:
            for item in items:
                channel.put(item)
        except ChannelClosed:
            return
        except BaseException as error:
            channel.end(error)
        else:
            channel.end()

    reader = channel.reader()
    if not shutdown.start(work, "latrans-ahead", channel.close, ends=False):
        raise shutdown.error() if shutdown.is_over() else EngineError("no thread can be started")
    return reader
