"""The conductor: many chunk threads, few calls of the device; order, errors, memory, and ends."""

from __future__ import annotations

import threading
import time

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

from conductor_cases import chunk, double, no_thread_stays  # noqa: F401
from latrans import threads as host_threads
from latrans.errors import ConfigError
from latrans.torch_engine import meter
from latrans.torch_engine.batching import batched, run_batch


def sizes_of(n, in_flight, work=chunk, threads=2):
    with meter.metered() as seen:
        assert run_batch(work, range(n), threads, in_flight) == [8 * i for i in range(n)]
    return [size for _, size in seen.groups]


@pytest.mark.parametrize("in_flight", [1, 2, 3, 8, 64, 256])
@pytest.mark.parametrize("n", [1, 2, 7, 256])
def test_results_keep_the_order_of_items(n, in_flight):
    sizes = sizes_of(n, in_flight)
    assert sum(sizes) == 3 * n
    assert max(sizes) <= min(in_flight, n)


@pytest.mark.parametrize("in_flight", [2, 16, 64, 256])
def test_calls_go_to_the_device_in_groups_of_half_the_chunks(in_flight):
    sizes = sizes_of(4 * in_flight, in_flight)
    assert sum(sizes) / len(sizes) >= in_flight / 4
    assert max(sizes) >= in_flight / 2


def test_all_waiting_chunks_are_one_group():
    together = threading.Barrier(8, timeout=30)

    def work(item):
        together.wait()
        return chunk(item)

    # All of them run at once, so that none can wait before the others are there.
    assert sizes_of(8, 8, work, threads=8)[0] >= 4


def test_outside_of_a_batch_a_call_runs_at_once():
    with meter.metered() as seen:
        assert chunk(5) == 40
    assert seen.groups == [("double", 1)] * 3


def test_calls_of_different_kinds_stay_apart():
    seen = []

    def work(item):
        def some(items):
            seen.append(sorted(item % 3 for item in items))
            return items

        return batched(("kind", item % 3), some, item)

    assert run_batch(work, range(60), 2, 30) == list(range(60))
    assert all(len(set(kinds)) == 1 for kinds in seen)
    assert max(map(len, seen)) > 1


def test_no_more_chunks_run_at_a_time_than_there_are_threads():
    running, most = [], []

    def work(item):
        for _ in range(3):
            running.append(item)
            most.append(len(running))
            time.sleep(0.0005)
            running.remove(item)
            item = batched(("double",), double, item)
        return item

    assert run_batch(work, range(40), 3, 20) == [8 * i for i in range(40)]
    assert max(most) <= 3


def test_the_device_works_on_one_half_while_the_host_works_on_the_other():
    busy, overlapped = threading.Event(), []

    def slow(items):
        busy.set()
        time.sleep(0.01)
        busy.clear()
        return items

    def work(item):
        for _ in range(4):
            batched(("slow",), slow, item)
            overlapped.append(busy.is_set())
            time.sleep(0.002)
        return item

    run_batch(work, range(16), 2, 8)
    assert any(overlapped)


class TestNesting:
    def test_a_batch_within_a_chunk_runs_in_its_thread(self):
        def outer(item):
            me = threading.current_thread()

            def inner(i):
                assert threading.current_thread() is me
                return chunk(i)

            return sum(run_batch(inner, range(item), 4, 8))

        assert run_batch(outer, range(12), 2, 6) == [8 * sum(range(i)) for i in range(12)]

    def test_its_calls_go_with_those_of_other_chunks(self):
        with meter.metered() as seen:
            run_batch(lambda _: run_batch(chunk, range(4), 2, 4), range(16), 2, 16)
        assert max(size for _, size in seen.groups) >= 8

    def test_batches_of_several_callers_do_not_meet(self):
        found = {}

        def caller(n):
            found[n] = run_batch(chunk, range(n), 2, 16)

        callers = [threading.Thread(target=caller, args=(n,)) for n in range(20, 30)]
        for thread in callers:
            thread.start()
        for thread in callers:
            thread.join()
        assert found == {n: [8 * i for i in range(n)] for n in range(20, 30)}

    def test_a_pool_of_helpers_within_a_chunk_runs_on(self):
        def outer(item):
            return sum(host_threads.spread(chunk, range(item), 3))

        assert run_batch(outer, range(8), 2, 4) == [8 * sum(range(i)) for i in range(8)]


class TestInFlight:
    def test_the_argument_comes_first_then_the_variable_then_the_engine(self, monkeypatch):
        monkeypatch.delenv(host_threads.BATCH_VARIABLE, raising=False)
        assert host_threads.in_flight(None, 64) == 64
        monkeypatch.setenv(host_threads.BATCH_VARIABLE, " 7 ")
        assert host_threads.in_flight(None, 64) == 7
        assert host_threads.in_flight(3, 64) == 3
        assert host_threads.in_flight(10**9, 64) == host_threads.MAX_IN_FLIGHT

    @pytest.mark.parametrize("bad", [0, -1, 1.5, "2", True])
    def test_numbers_that_are_none_are_refused(self, bad, monkeypatch):
        with pytest.raises(ConfigError, match="batch is"):
            host_threads.in_flight(bad, 64)
        monkeypatch.setenv(host_threads.BATCH_VARIABLE, "many")
        with pytest.raises(ConfigError, match="LATRANS_BATCH"):
            host_threads.in_flight(None, 64)
