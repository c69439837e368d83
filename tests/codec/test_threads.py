"""Batches on threads: order, errors, who decides how many, and processes that fork."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from latrans import Codec, threads
from latrans.errors import CodecError, ConfigError
from synthetic_models import make_model


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.delenv(threads.VARIABLE, raising=False)


def arrays_of(n):
    rng = np.random.default_rng(7)
    return [rng.integers(0, 40, (9, 7 + i % 5)).astype(np.uint8) for i in range(n)]


class TestHowMany:
    def test_the_argument_comes_first(self, monkeypatch):
        monkeypatch.setenv(threads.VARIABLE, "5")
        assert threads.count(3) == 3

    def test_then_the_variable(self, monkeypatch):
        monkeypatch.setenv(threads.VARIABLE, " 5 ")
        assert threads.count() == 5
        monkeypatch.setenv(threads.VARIABLE, "")
        assert threads.count() == threads._cores()

    def test_then_the_cores_this_process_may_use(self):
        assert threads.count() == min(threads._cores(), threads.MAX_THREADS)
        assert 1 <= threads._cores() <= (os.cpu_count() or 1)

    def test_but_one_in_a_worker_of_another_library(self):
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(threads.count).result() == 1
            assert pool.submit(threads.count, 4).result() == 4

    def test_callers_together_share_the_cores(self, monkeypatch):
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(threads.share).result() == threads.count()
        monkeypatch.setenv(threads.VARIABLE, "5")
        assert threads.share() == 5
        monkeypatch.setenv(threads.VARIABLE, "none")
        with pytest.raises(ConfigError, match=threads.VARIABLE):
            threads.share()

    def test_or_what_dask_gave_its_workers_in_this_process(self, monkeypatch):
        def workers(*sizes):
            each = [SimpleNamespace(state=SimpleNamespace(nthreads=n)) for n in sizes]
            module = SimpleNamespace(Worker=SimpleNamespace(_instances=each))
            monkeypatch.setitem(sys.modules, "distributed.worker", module)

        monkeypatch.setattr(threads, "_cores", lambda: 8)
        for sizes, expected in [((), 8), ((1,), 1), ((2, 3), 5), ((20,), 8)]:
            workers(*sizes)
            assert threads.share() == expected
        monkeypatch.setitem(sys.modules, "distributed.worker", SimpleNamespace())
        assert threads.share() == 8

    def test_dask_still_says_so(self):
        worker = pytest.importorskip("distributed.worker").Worker
        assert isinstance(list(worker._instances), list)

    def test_there_is_a_limit(self, monkeypatch):
        monkeypatch.setenv(threads.VARIABLE, "99999")
        assert threads.count() == threads.count(10**9) == threads.MAX_THREADS

    @pytest.mark.parametrize("bad", [0, -1, 1.5, "2", True])
    def test_arguments_that_are_none_are_refused(self, bad):
        codec = Codec(make_model("plane"))
        with pytest.raises(ConfigError, match="threads is"):
            codec.encode_batch([], bad)
        with pytest.raises(ConfigError, match="threads is"):
            codec.decode_batch([], threads=bad)

    @pytest.mark.parametrize("bad", ["0", "-2", "many", "1.5", "\u0662"])
    def test_variables_that_are_none_are_refused(self, monkeypatch, bad):
        monkeypatch.setenv(threads.VARIABLE, bad)
        with pytest.raises(ConfigError, match=threads.VARIABLE):
            Codec(make_model("plane")).encode_batch([])


class TestSpread:
    def test_results_keep_the_order_of_items(self):
        def work(i):
            time.sleep(0.001 * (i % 3))
            return i * i

        assert threads.spread(work, range(50), 4) == [i * i for i in range(50)]

    def test_items_are_shared_between_threads(self):
        together = threading.Barrier(3, timeout=30)  # breaks unless three run at once
        threads.spread(lambda _: together.wait(), range(3), 3)

    def test_the_first_error_comes_out_and_nothing_runs_on(self):
        running, begun = [], []

        def work(i):
            begun.append(i)
            running.append(i)
            time.sleep(0.002)
            running.remove(i)
            if i >= 5:
                raise ValueError(str(i))

        for _ in range(5):
            begun.clear()
            with pytest.raises(ValueError, match=r"^5$"):
                threads.spread(work, range(1000), 4)
            assert running == []
            assert len(begun) < 20
            seen = len(begun)
            time.sleep(0.01)
            assert len(begun) == seen

    def test_batches_nest(self):
        def outer(i):
            return sum(threads.spread(lambda j: i + j, range(10), 8))

        found = threads.spread(outer, range(40), 8)
        assert found == [10 * i + 45 for i in range(40)]

    def test_callers_share_a_bounded_number_of_helpers(self):
        before = {t for t in threading.enumerate() if t.name.startswith("latrans")}
        callers = [
            threading.Thread(target=threads.spread, args=(time.sleep, [0.001] * 40, 64))
            for _ in range(16)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        after = {t for t in threading.enumerate() if t.name.startswith("latrans")}
        assert len(after | before) <= threads.MAX_THREADS


class TestBatches:
    @pytest.mark.parametrize("n", [1, 2, 5])
    def test_frames_and_arrays_are_those_of_one_by_one(self, n):
        codec, arrays = Codec(make_model("plane")), arrays_of(30)
        frames = codec.encode_batch(arrays, n)
        assert frames == [codec.encode(a) for a in arrays]
        for found, array in zip(codec.decode_batch(frames, threads=n), arrays, strict=True):
            assert found.dtype == array.dtype
            assert np.array_equal(found, array)

    def test_any_iterable_will_do(self):
        codec, arrays = Codec(make_model("plane")), arrays_of(4)
        frames = codec.encode_batch(iter(arrays), 2)
        assert len(codec.decode_batch(iter(frames), 2)) == 4
        assert codec.encode_batch([]) == codec.decode_batch([]) == []

    def test_a_bad_chunk_is_named_by_its_own_error(self):
        codec, arrays = Codec(make_model("plane")), arrays_of(9)
        frames = codec.encode_batch(arrays, 2)
        frames[4] = frames[4][:-1]
        with pytest.raises(CodecError, match="checksum"):
            codec.decode_batch(frames, 3)
        with pytest.raises(TypeError, match="Python objects"):
            codec.encode_batch([*arrays, np.array([None]), *arrays], 3)

    def test_they_work_in_threads_of_others(self):
        codec, arrays = Codec(make_model("plane")), arrays_of(12)
        expected = [codec.encode(a) for a in arrays]
        with ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(codec.encode_batch, arrays, n) for n in (None, 2, 4, None)]
            assert all(job.result() == expected for job in jobs)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_helpers_of_its_own():
    program = """
import os, time
from latrans import threads
assert threads.spread(lambda i: time.sleep(0.001) or i, range(20), 3) == list(range(20))
child = os.fork()
if child == 0:
    found = threads.spread(lambda i: time.sleep(0.001) or i, range(20), 3)
    os._exit(0 if found == list(range(20)) and threads._helpers._n_threads else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], timeout=60, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_batch_at_the_end_of_the_interpreter_needs_no_helpers():
    program = """
import atexit
from latrans import threads
atexit.register(lambda: print(threads.spread(lambda i: i, range(5), 3)))
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=60, capture_output=True)
    assert done.stdout.strip() == b"[0, 1, 2, 3, 4]", done.stderr
