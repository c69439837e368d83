"""How batches of the conductor end: memory that does not suffice, errors, interrupts."""

from __future__ import annotations

import _thread
import signal
import threading
import time

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

from conductor_cases import chunk, double, no_thread_stays  # noqa: F401
from latrans.errors import EngineError
from latrans.torch_engine import batching
from latrans.torch_engine.batching import batched, run_batch


class TestErrors:
    def test_an_item_that_fails_fails_alone(self):
        def inverse(items):
            return [1 / item for item in items]

        def work(item):
            try:
                return batched(("inverse",), inverse, item)
            except ZeroDivisionError:
                return "zero"

        found = run_batch(work, [1, 2, 0, 4, 0, 8], 2, 6)
        assert found == [1, 0.5, "zero", 0.25, "zero", 0.125]

    def test_the_first_items_error_comes_out(self):
        def work(item):
            batched(("double",), double, item)
            if item >= 5:
                raise ValueError(str(item))

        for in_flight in (2, 8, 40):
            with pytest.raises(ValueError, match=r"^5$"):
                run_batch(work, range(40), 2, in_flight)

    def test_nothing_begins_after_an_error(self):
        begun = []

        def work(item):
            begun.append(item)
            batched(("double",), double, item)
            raise ValueError

        with pytest.raises(ValueError):  # noqa: PT011
            run_batch(work, range(1000), 2, 10)
        assert len(begun) < 50

    def test_a_device_call_that_fails_for_all_is_every_chunks_own_error(self):
        def broken(items):
            raise KeyError(len(items))

        with pytest.raises(KeyError, match="1"):
            run_batch(lambda item: batched(("broken",), broken, item), range(9), 2, 9)

    def test_results_must_be_as_many_as_items(self):
        with pytest.raises(EngineError, match="0 results of 1"):
            batched(("none",), lambda items: [], 1)

    def test_chunks_may_fail_between_the_calls_of_others(self):
        def work(item):
            if item % 7 == 3:
                raise ValueError(str(item))
            return chunk(item)

        with pytest.raises(ValueError, match=r"^3$"):
            run_batch(work, range(100), 4, 50)


class TestMemory:
    @staticmethod
    def with_room_for(most, error):
        tried = []

        def work(items):
            tried.append(len(items))
            if len(items) > most:
                raise error
            return double(items)

        return tried, work

    @pytest.mark.parametrize(
        "error",
        [
            MemoryError("no room"),
            RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"),
        ],
    )
    @pytest.mark.parametrize("most", [1, 3, 10])
    def test_groups_are_halved_until_they_fit(self, most, error):
        tried, work = self.with_room_for(most, error)
        found = run_batch(lambda item: batched(("double",), work, item), range(100), 2, 64)
        assert found == [2 * i for i in range(100)]
        assert any(size > most for size in tried)
        # What does not fit is not tried again and again.
        assert sum(size > most for size in tried) <= 6

    def test_the_allocators_own_error_counts(self, monkeypatch):
        torch = pytest.importorskip("torch")
        released = []
        monkeypatch.setattr(batching, "release", lambda: released.append(1))
        tried, work = self.with_room_for(4, torch.OutOfMemoryError("CUDA out of memory"))
        run_batch(lambda item: batched(("double",), work, item), range(32), 2, 32)
        assert len(released) == sum(size > 4 for size in tried) > 0

    def test_one_item_that_does_not_fit_is_an_error_that_says_so(self):
        _, work = self.with_room_for(0, RuntimeError("CUDA out of memory. Tried 5 GiB"))
        with pytest.raises(EngineError, match=r"double, 30 bytes.*Tried 5 GiB.*smaller chunks"):
            batched(("double",), work, (memoryview(bytes(10)), [memoryview(bytes(20))]))

    def test_memory_is_tried_once_more_after_the_cache_is_empty(self):
        answers = [MemoryError(), [7]]

        def work(items):
            found = answers.pop(0)
            if isinstance(found, Exception):
                raise found
            return found

        assert batched(("seven",), work, 1) == 7

    def test_items_that_do_not_fit_leave_the_others_alone(self):
        def work(items):
            if any(item == 5 for item in items):
                raise MemoryError
            return double(items)

        def code(item):
            try:
                return batched(("double",), work, item)
            except EngineError:
                return None

        assert run_batch(code, range(9), 2, 9) == [None if i == 5 else 2 * i for i in range(9)]


class TestBreakingOff:
    @pytest.fixture
    def interrupts(self):
        """Interrupts arrive also where the tests run in the background, which ignores them."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        signal.signal(signal.SIGINT, before)

    @pytest.mark.usefixtures("interrupts")
    def test_an_interrupt_between_calls_ends_the_batch(self):
        def work(item):
            if item == 20:
                _thread.interrupt_main()
            time.sleep(0.001)
            return chunk(item)

        with pytest.raises(KeyboardInterrupt):
            run_batch(work, range(10_000), 2, 32)

    def test_an_interrupt_during_a_call_ends_the_batch(self):
        calls = []

        def interrupted(items):
            calls.append(len(items))
            if len(calls) == 3:
                raise KeyboardInterrupt
            return double(items)

        # Calls of two kinds wait when it comes.
        def work(item):
            for _ in range(3):
                item = batched(("double", item % 2), interrupted, item)
            return item

        with pytest.raises(KeyboardInterrupt):
            run_batch(work, range(1000), 2, 32)

    def test_a_chunk_that_ends_its_thread_ends_the_batch(self):
        def work(item):
            if item == 9:
                raise SystemExit(3)
            return chunk(item)

        with pytest.raises(SystemExit):
            run_batch(work, range(1000), 2, 32)

    def test_no_chunk_swallows_the_end(self):
        def work(item):
            while True:
                try:
                    chunk(item)
                    if item == 5:
                        raise SystemExit
                except Exception:
                    continue

        with pytest.raises(SystemExit):
            run_batch(work, range(20), 2, 10)

    def test_threads_that_cannot_be_started_are_done_without(self, monkeypatch):
        start, started = threading.Thread.start, []

        def scarce(thread):
            if len(started) == 3:
                raise RuntimeError("can't start new thread")
            started.append(thread)
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", scarce)
        assert run_batch(chunk, range(40), 2, 16) == [8 * i for i in range(40)]
        with pytest.raises(EngineError, match="no thread"):
            run_batch(chunk, range(40), 2, 16)
