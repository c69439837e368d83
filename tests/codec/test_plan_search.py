"""Plan search: large sections are asked less and less, alike in both engines, within the bound."""

from __future__ import annotations

import numpy as np
import pytest

import latrans
from latrans.chunk import closed_loop, pieces
from latrans.residual import plan_search
from latrans.residual.plan_search import RepeatedChoice

ENGINES = ("native", "reference")


def asked(answers):
    """Which pieces were asked, where each would answer so."""
    choice, found = RepeatedChoice(), []
    for i, answer in enumerate(answers):
        if not choice.holds():
            found.append(i)
            choice.note(answer)
    return found


def test_what_answers_alike_is_asked_less_and_less_often():
    assert asked("aaaaaaaaaaaaaaa") == [0, 1, 3, 7, 11]


def test_what_answers_otherwise_is_asked_again_at_once():
    assert asked("aabbcde") == [0, 1, 3, 4, 5, 6]


@pytest.fixture
def all_large(monkeypatch):
    """Every section counts as large."""
    for module in (pieces, closed_loop, plan_search):
        monkeypatch.setattr(module, "LARGE_SECTION", 0)
    monkeypatch.setattr(plan_search, "_TRIAL_SAMPLES", 256)


def stack(n_planes):
    """Planes (n, 33, 34) that change slowly, and a new kind of them from the middle on."""
    z, y, x = np.meshgrid(np.arange(n_planes), np.arange(33), np.arange(34), indexing="ij")
    noise = np.random.default_rng(3).normal(size=z.shape)
    field = 10 * np.sin((x + y + z) / 7) + 0.02 * noise
    field[n_planes // 2 :] = 3 * np.cos((x - y)[n_planes // 2 :] / 3) + noise[n_planes // 2 :]
    return field.astype("f4")


@pytest.mark.usefixtures("always_model", "all_large")
class TestLarge:
    def test_engines_choose_alike(self, models):
        pytest.importorskip("latrans._native", reason="the compiled core is not built")
        planes = (40 + 3 * stack(6)).astype("u2")
        codecs = [latrans.Codec(models["plane"], axes="zyx", engine=e) for e in ENGINES]
        native, reference = (codec.encode(planes) for codec in codecs)
        assert native == reference
        assert np.array_equal(codecs[0].decode(reference), planes)

    @pytest.mark.parametrize("max_error", [0.02, 0.3])
    def test_the_bound_is_kept(self, max_error):
        pytest.importorskip("latrans._native", reason="slow without the compiled core")
        field = stack(12)
        codec = latrans.Codec("field-1", "bounded", max_error, axes="zyx")
        found = codec.decode(codec.encode(field))
        assert np.abs(found.astype("f8") - field).max() <= max_error

    def test_tracks_come_back(self, models):
        tracks = np.cumsum(np.random.default_rng(4).integers(-9, 10, (2, 200_000)), 1)
        codec = latrans.Codec(models["track"], axes="ct")
        assert np.array_equal(codec.decode(codec.encode(tracks.astype("i4"))), tracks)
