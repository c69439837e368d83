"""The interpreter's end: no process is aborted, threads are joined, nobody waits for a queue."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time

import pytest

from adapter_samples import heed_interrupts
from latrans.process import shutdown

N_RUNS = 4
# Python's own, by SIGINT; or 1, where threads have run code of their own (an import) since.
INTERRUPTED = (-2, 1)
ENGINES = ["native", "reference", "torch:cpu"]


def run(program: str, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit status and what was printed; the status of a process that was aborted is negative."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
        preexec_fn=heed_interrupts,
    )
    return done.returncode, done.stdout, done.stderr


def needs(engine: str) -> None:
    if engine.startswith("torch"):
        pytest.importorskip("torch")


STORED = """
import os, signal, sys, threading, numpy as np, zarr
from latrans.zarr import LatransCodec

x = np.random.default_rng(0).integers(0, 400, (12, 96, 96)).cumsum(0).astype("u2")
array = zarr.create_array(
    {}, shape=x.shape, dtype=x.dtype, chunks=(1, 24, 24), serializer=LatransCodec(),
    compressors=None,
)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("what", ["write", "read"])
def test_an_interrupt_while_chunks_are_coded_is_an_interrupt(engine, what):
    needs(engine)
    program = (
        STORED
        + """
if sys.argv[1] == "read":
    array[:] = x
    again = lambda: array[:]
else:
    again = lambda: array.__setitem__(slice(None), x)
array[:1] = x[:1]
threading.Timer(0.15, os.kill, (os.getpid(), signal.SIGINT)).start()
while True:
    again()
"""
    )
    for _ in range(N_RUNS if engine == "native" else 1):
        status, _, said = run(program, what, LATRANS_ENGINE=engine, LATRANS_NUM_THREADS="3")
        assert status in INTERRUPTED, said
        assert "KeyboardInterrupt" in said
        assert "terminate called" not in said


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("engine", ENGINES)
def test_an_interrupted_batch_ends_with_the_chunks_that_are_under_way(engine):
    needs(engine)
    program = """
    import os, signal, sys, threading, numpy as np, latrans

    x = np.random.default_rng(0).integers(0, 500, (64, 64)).astype("u2")
    codec = latrans.Codec("image-1", engine=sys.argv[1])
    codec.encode(x)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    codec.encode_batch([x] * 100_000, threads=3, batch=8)
    """
    status, _, said = run(program, engine)
    assert status in INTERRUPTED, said
    assert "KeyboardInterrupt" in said


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_session_goes_on_after_interrupts():
    program = (
        STORED
        + """
array[:1] = x[:1]
for _ in range(3):
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        while True:
            array[:] = x
    except KeyboardInterrupt:
        pass
array[:] = x
assert (array[:] == x).all()
"""
    )
    assert run(program)[0] == 0


def test_an_error_of_one_chunk_ends_a_program_by_that_error():
    program = (
        STORED
        + """
array[:] = x
store = array.store
store._store_dict["c/0/0/1"] = store._store_dict["c/0/0/1"][:0]
array[:]
"""
    )
    for _ in range(N_RUNS):
        status, _, said = run(program)
        assert status == 1, said
        assert "CodecError" in said


@pytest.mark.parametrize("engine", ENGINES)
def test_leaving_while_other_threads_code_is_leaving(engine):
    """Threads of others, which nobody joins, do not take the process down either."""
    needs(engine)
    program = """
    import sys, threading, time, numpy as np, latrans, zarr

    x = np.random.default_rng(0).integers(0, 500, (100, 100)).astype("u2")
    codec = latrans.Codec("image-1", engine=sys.argv[1])

    def forever():
        while True:
            codec.decode(codec.encode(x))

    for _ in range(6 if sys.argv[1] == "native" else 1):
        threading.Thread(target=forever, daemon=True).start()
    time.sleep(0.1)
    sys.exit(7)
    """
    for _ in range(N_RUNS if engine == "native" else 1):
        status, _, said = run(program, engine)
        assert status == 7, said


@pytest.mark.parametrize("engine", ENGINES)
def test_nobody_waits_for_a_queue_of_chunks(engine):
    """Ten thousand chunks are begun; those that are under way are finished, no others."""
    needs(engine)
    program = """
    import atexit, sys, threading, time, numpy as np, latrans
    from latrans.batch import queue

    class Coder:
        def code(self, kind, chunks, threads):
            return codec.encode_batch(chunks, threads)

    coder = Coder()
    x = np.random.default_rng(0).integers(0, 500, (64, 64)).astype("u2")
    codec = latrans.Codec("image-1", engine=sys.argv[1])
    codec.encode(x)  # all is imported
    ends = []

    def batch():
        try:
            codec.encode_batch([x] * 10_000, threads=3, batch=4)
        except latrans.errors.ShutdownError as error:
            ends.append(error)

    def single():
        try:
            for _ in range(10_000):
                queue.submit_and_wait(coder, "encode", x, x.nbytes)
        except latrans.errors.ShutdownError as error:
            ends.append(error)

    threads = [threading.Thread(target=work, daemon=True) for work in (batch, single)]

    def last():  # registered before what joins the threads, so it runs after that
        for thread in threads:
            thread.join(20)
        ours = [t.name for t in threading.enumerate() if t.name.startswith("latrans")]
        print(len(ends), ours)

    atexit.unregister(latrans.process.shutdown._end)
    atexit.register(last)
    atexit.register(latrans.process.shutdown._end)
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    """
    start = time.monotonic()
    status, printed, said = run(program, engine, LATRANS_ENGINE=engine, LATRANS_NUM_THREADS="2")
    assert (status, printed) == (0, "2 []\n"), said
    assert time.monotonic() - start < 60


def test_what_is_called_at_exit_still_works():
    program = """
    import atexit, numpy as np, zarr
    import latrans

    x = np.arange(4000, dtype="u2").reshape(40, 100)
    frames = latrans.Codec("image-1").encode_batch([x] * 8, threads=3)

    def late():  # when all threads have ended
        codec = latrans.Codec("image-1")
        assert codec.encode_batch([x] * 8, threads=3) == frames
        print("done")

    atexit.unregister(latrans.process.shutdown._end)
    atexit.register(late)
    atexit.register(latrans.process.shutdown._end)
    """
    assert run(program)[:2] == (0, "done\n")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_ends_by_itself():
    program = (
        STORED
        + """
array[:] = x  # threads are at work in the parent, too
busy = threading.Thread(target=array.__setitem__, args=(slice(None), x))
busy.start()
import latrans
codec = latrans.Codec("image-1")
children = []
for _ in range(4):
    child = os.fork()
    if child == 0:
        codec.decode_batch(codec.encode_batch(list(x[:4]), threads=2), threads=2)
        sys.exit(5)  # not os._exit: all that an interpreter does at its end
    children.append(child)
for child in children:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
busy.join()
"""
    )
    status, _, said = run(program)
    assert status == 0, said


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_data_loader_end_by_themselves(method, tmp_path):
    pytest.importorskip("torch")
    if method == "fork" and not hasattr(os, "fork"):
        pytest.skip("this system does not fork")
    script = tmp_path / "loader.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys, numpy as np, latrans
            from torch.utils.data import DataLoader

            class Frames:
                def __init__(self):
                    x = np.random.default_rng(0).integers(0, 500, (64, 64)).astype("u2")
                    self.frames = latrans.Codec("image-1").encode_batch([x] * 64, threads=2)

                def __len__(self):
                    return len(self.frames)

                def __getitem__(self, i):
                    return latrans.Codec().decode_batch([self.frames[i]] * 2, threads=2)[0] * 1.0

            if __name__ == "__main__":
                loader = DataLoader(
                    Frames(), batch_size=4, num_workers=2, multiprocessing_context=sys.argv[1]
                )
                for i, batch in enumerate(loader):
                    assert batch.shape == (4, 64, 64)
                    if i == 5:
                        break  # while workers are at work
                print("done")
            """
        )
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), method],
        capture_output=True, text=True, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    assert "terminate called" not in done.stderr


def test_a_thread_that_waits_for_others_is_not_waited_for_long():
    program = """
    import threading, latrans
    from latrans.process import shutdown

    assert shutdown.start(threading.Event().wait, "latrans-waits", ends=False)
    """
    start = time.monotonic()
    assert run(program)[0] == 0
    assert time.monotonic() - start < 30


def test_a_thread_that_has_ended_is_forgotten():
    assert shutdown.start(lambda: None, "latrans-short")
    while any(thread.name == "latrans-short" for thread in shutdown._running):
        time.sleep(0.001)
