"""The closed loop keeps the bound, leaves alone what it has placed, and runs where it pays."""

from __future__ import annotations

import numpy as np
import pytest

import effort
import latrans
from latrans.chunk import closed_loop
from latrans.format.frame import unpack
from latrans.residual.header import HeaderReader, inflate


def waves(shape, noise=0.02, offset=0.0):
    """A smooth float32 field with a little noise."""
    rng = np.random.default_rng(sum(shape))
    grids = np.meshgrid(*(np.arange(n) / 7 for n in shape), indexing="ij")
    return (offset + 10 * np.sin(sum(grids)) + noise * rng.normal(size=shape)).astype("f4")


@pytest.fixture
def always_closed(monkeypatch):
    """Let the loop win every trial."""
    monkeypatch.setattr(closed_loop, "_trial_bits", lambda *args: (2 - (args[3] > 1), []))


def step_of(frame):
    _, _, step, _ = HeaderReader(inflate(unpack(frame).residual)[0]).section()
    return step


@pytest.mark.usefixtures("always_model", "always_closed")
class TestClosed:
    @pytest.mark.parametrize("kind", ["plane", "track"])
    @pytest.mark.parametrize("engine", ["native", "reference"])
    def test_no_value_is_off_by_more_than_the_bound(self, models, kind, engine):
        if engine == "native":
            pytest.importorskip("latrans._native", reason="the compiled core is not built")
        shape = (2, 13, 17) if engine == "native" else (2, effort.of(13, 7), effort.of(17, 11))
        for max_error in (0.004, 0.05, 1.3):
            field = waves(shape)
            field[0, 3, 4:9] = np.nan
            field[1, 0, 0] = np.inf
            codec = latrans.Codec(models[kind], "bounded", max_error, engine=engine)
            frame = codec.encode(field)
            found = codec.decode(frame)
            assert step_of(frame) == 17
            finite = np.isfinite(field)
            assert np.array_equal(found[~finite], field[~finite], equal_nan=True)
            error = np.abs(found[finite].astype("f8") - field[finite])
            assert error.max() <= max_error

    def test_engines_write_the_same_bytes(self, models):
        pytest.importorskip("latrans._native", reason="the compiled core is not built")
        field = waves((3, 20, 18))
        frames = {
            latrans.Codec(models["plane"], "bounded", 0.03, axes="zyx", engine=e).encode(field)
            for e in ("native", "reference")
        }
        assert len(frames) == 1

    def test_what_came_back_does_not_move_again(self, models):
        codec = latrans.Codec(models["plane"], "bounded", 0.05)
        once = codec.decode(codec.encode(waves((24, 30))))
        patched = once.copy()
        patched[5:9] = waves((24, 30), offset=3)[5:9]
        again = codec.decode(codec.encode(patched))
        assert np.array_equal(np.delete(again, np.s_[5:9], 0), np.delete(once, np.s_[5:9], 0))
        assert np.abs(again[5:9].astype("f8") - patched[5:9]).max() <= 0.05

    def test_values_on_the_plain_grid_stay_there(self, models, monkeypatch):
        codec = latrans.Codec(models["plane"], "bounded", 0.05)
        monkeypatch.setattr(closed_loop, "encode_closed_loop", lambda *args: None)
        once = codec.decode(codec.encode(waves((24, 30))))
        monkeypatch.undo()
        frame = codec.encode(once)
        assert np.array_equal(codec.decode(frame), once)

    @pytest.mark.parametrize(
        ("array", "max_error"),
        [(waves((9, 9), offset=1e6), 0.2), (np.arange(81, dtype="i4").reshape(9, 9) ** 2, 3)],
        ids=["bound near the precision", "integers"],
    )
    def test_where_the_fine_grid_makes_no_sense_it_is_not_used(self, models, array, max_error):
        codec = latrans.Codec(models["plane"], "bounded", max_error)
        frame = codec.encode(array)
        assert step_of(frame) == 1
        assert np.abs(codec.decode(frame).astype("f8") - array).max() <= max_error


@pytest.mark.usefixtures("always_model")
def test_the_cheaper_way_is_taken():
    field = np.random.default_rng(5).normal(size=(4, 64, 64)).cumsum(1).cumsum(2).astype("f4")
    sizes = {}
    for way in ("chosen", "plain"):
        with pytest.MonkeyPatch.context() as patch:
            if way == "plain":
                patch.setattr(closed_loop, "encode_closed_loop", lambda *args: None)
            codec = latrans.Codec("field-1", "bounded", 0.05 * float(np.ptp(field)), axes="zyx")
            sizes[way] = len(codec.encode(field))
    assert sizes["chosen"] < sizes["plain"]
