"""Frames written once are read for ever, and the same input still gives the same bytes.

The files in `golden/` are data.  Where one is missing a test fails; nothing here writes them.
"""

from __future__ import annotations

import json

import pytest

import golden_cases as golden
import latrans
from latrans.engine import NAMES, select
from latrans.errors import EngineError

CASES = golden.cases()


def engines() -> list[str]:
    found = []
    for name in NAMES:
        try:
            found.append(select(name).name)
        except EngineError:
            continue
    return found


@pytest.fixture(scope="module")
def models():
    return golden.read_models()


@pytest.fixture(scope="module")
def record():
    return json.loads(golden.RECORD.read_text("utf-8"))


def test_no_file_is_missing_or_left_over(record):
    assert set(record) == set(CASES)
    files = {path.name for path in golden.HERE.iterdir() if path.is_file()}
    data = {golden.MODELS.name, golden.RECORD.name, *(f"{name}.frame" for name in CASES)}
    assert files == data
    assert sum((golden.HERE / name).stat().st_size for name in data) < 25_000


def test_models_are_those_of_the_frames(models, record):
    assert set(models) == set(golden.KINDS)
    for name, case in CASES.items():
        expected = models[case.model].digest[:16] if case.model else None
        assert record[name]["model"] == expected


@pytest.mark.parametrize("engine", engines())
@pytest.mark.parametrize("name", CASES)
class TestGoldenFrames:
    def test_decode_to_what_they_held(self, models, record, engine, name):
        case, frame = CASES[name], golden.path_of(name).read_bytes()
        assert golden.described(frame) == record[name]
        found = latrans.decode(frame, engine=engine)
        assert golden.digest_of(found) == record[name]["sha256"]
        if record[name]["mode"] == "lossless":
            assert found.tobytes() == case.array.tobytes()
            assert found.flags.f_contiguous == case.array.flags.f_contiguous

    def test_are_written_again_byte_for_byte(self, models, engine, name):
        case = CASES[name]
        if not case.pinned:
            pytest.skip("holds bytes of Zstandard or Blosc, which may change with their releases")
        assert golden.encode(case, models, engine) == golden.path_of(name).read_bytes()
