"""Rivals in a process of their own: what they do to it is a row, not an end."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import failing_rivals as failing
from cli_samples import run
from latrans import rivals
from latrans.errors import RivalError
from latrans.rivals import Rival, apart
from latrans.rivals.apart import measure
from latrans.rivals.measure import here

ARRAY = np.arange(200, dtype=np.uint8)


def outcome(rival: Rival, seconds: float | None = None) -> Any:
    return measure(rival, ARRAY, "t", None, None, seconds)


@pytest.mark.parametrize(
    ("rival", "words"),
    [
        (failing.ABORTS, r"aborts crashed \(SIGABRT\)"),
        (failing.ABORTS_LATER, r"aborts later crashed \(SIGABRT\)"),
        (failing.FAULTS, r"faults crashed \(SIGSEGV\)"),
        (failing.LEAVES, r"leaves crashed \(exit status 3\)"),
        (failing.ENDS, r"ends crashed \(exit status 4\)"),
        (failing.RAISES, "raises failed: ArithmeticError: by zero"),
        (failing.RAISES_LATER, "raises later failed: ArithmeticError: by zero"),
        (failing.HOARDS, "hoards (failed: .*Memory|crashed)"),
    ],
)
def test_whatever_a_codec_does_is_said_in_a_line(rival: Rival, words: str) -> None:
    with pytest.raises(RivalError, match=words) as found:
        outcome(rival)
    assert "\n" not in str(found.value)
    assert outcome(failing.FINE).nbytes == ARRAY.nbytes  # the next one is not harmed


def test_a_codec_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(RivalError, match=r"sleeps timed out after 0\.5 s"):
        outcome(failing.SLEEPS, 0.5)
    assert outcome(failing.FINE).nbytes == ARRAY.nbytes


def test_wrong_data_is_not_as_promised() -> None:
    assert not outcome(failing.CONFUSES).kept()
    assert outcome(failing.FINE).kept()


def test_what_a_library_prints_stays_inside(capfd: pytest.CaptureFixture[str]) -> None:
    assert outcome(failing.PRINTS).kept()
    assert capfd.readouterr() == ("", "")


def test_one_process_serves_many_calls() -> None:
    outcome(failing.FINE)
    process = apart._server._process
    assert process is not None
    for _ in range(5):
        outcome(failing.FINE)
        with pytest.raises(RivalError):
            outcome(failing.RAISES)
    assert apart._server._process is process


@pytest.mark.parametrize("label", ["zstd-19", "Blosc-zstd-9 bit"])
def test_figures_are_those_of_this_process(label: str) -> None:
    (rival,) = rivals.named(label)
    found, expected = outcome(rival), here(rival, ARRAY, "t", None, None)
    assert (found.nbytes, found.error) == (expected.nbytes, expected.error)
    assert 0 < found.encode_seconds < 5


def test_importing_is_no_part_of_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_to_import.py").write_text("import time; time.sleep(1)")
    monkeypatch.syspath_prepend(tmp_path)
    apart._server.close()
    assert outcome(failing.SLOW).encode_seconds < 0.9


def test_the_process_ends_with_its_owner() -> None:
    program = """
    import numpy as np
    from latrans.rivals import apart, named
    from latrans.rivals.apart import measure

    measure(named("zstd-19")[0], np.arange(200, dtype="u1"), "t", None, None)
    print(apart._server._process.pid, flush=True)
    import os
    os.kill(os.getpid(), 9)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60
    )
    about = Path(f"/proc/{int(done.stdout)}/stat")
    deadline = time.monotonic() + 30
    while about.exists() and ") Z " not in about.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_suggest_goes_on_where_a_codec_crashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = (*rivals.named("zstd-19"), failing.ABORTS)
    monkeypatch.setattr(rivals, "all_rivals", lambda: found)
    np.save(tmp_path / "a.npy", np.add.outer(np.arange(40), np.arange(50)).astype(np.uint16))
    assert run("suggest", tmp_path / "a.npy", "--axes", "yx") == 0
    printed = capsys.readouterr().out
    assert "not tried: aborts crashed (SIGABRT)" in printed
    assert "zstd-19" in printed
    assert "latrans image-1" in printed
