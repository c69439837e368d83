"""Calls and chunks that the conductor's tests share."""

from __future__ import annotations

import threading

import pytest

from latrans.torch_engine.batching import batched


@pytest.fixture(autouse=True)
def no_thread_stays():
    yield
    assert [t.name for t in threading.enumerate() if t.name.startswith("latrans-chunk")] == []


def double(items):
    return [2 * item for item in items]


def chunk(item):
    """A chunk that needs the device three times."""
    for _ in range(3):
        item = batched(("double",), double, item)
    return item
