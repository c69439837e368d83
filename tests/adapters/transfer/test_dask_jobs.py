"""Jobs on Dask: all schedulers agree, models travel, training sees samples alone."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latrans
from latrans.errors import ConfigError

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
zarr = pytest.importorskip("zarr")

from latrans.dask import fit, map_latents, run, save_latents, scores, verify
from latrans.dask.fit import Blocks, draw
from latrans.zarr import LatransCodec


def test_all_schedulers_agree_and_models_travel(tmp_path: Path) -> None:
    """With a model that workers have no file of, in processes and on a cluster."""
    distributed = pytest.importorskip("distributed")
    digits = np.random.default_rng(0).integers(0, 255, (12, 28, 28)).astype(np.uint8)
    mine = replace(latrans.open_model("digits-1"), name="mine")
    path = tmp_path / "digits.zarr"
    zarr.create_array(
        path, data=digits, chunks=(4, 28, 28), serializer=LatransCodec(mine), compressors=None
    )

    def both() -> tuple[Any, Any, Any]:
        blocks = da.from_array(digits, chunks=(4, 28, 28))
        stored = map_latents(path, mine).compute()
        return map_latents(blocks, mine).compute(), stored, scores(blocks, mine)

    results = []
    for scheduler in ("synchronous", "threads", "processes"):
        with dask.config.set(scheduler=scheduler, num_workers=1):
            results.append(both())
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        results.append(both())
        summary = save_latents(path, tmp_path / "l.zarr", progress=False)
        assert (summary.n_chunks, summary.failures) == (3, ())
        assert np.array_equal(zarr.open_array(tmp_path / "l.zarr")[...], results[0][0])
        assert verify(path, progress=False).nbytes == digits.nbytes
        told: list[int] = []
        parts = [da.ones(3, chunks=3) * i for i in range(5)]
        values = run.values_of(client, parts, told.append)
        assert [value.tolist() for value in values] == [[float(i)] * 3 for i in range(5)]
        assert told == [1] * 5
    for result in results:
        for part, expected in zip(result, results[0], strict=True):
            assert np.array_equal(part, expected)
    assert np.array_equal(results[0][0], results[0][1])


def test_pieces_are_drawn_by_seed_within_bounds_and_once() -> None:
    huge = zarr.create_array({}, shape=(10**5, 8192, 8192), chunks=(1, 256, 256), dtype="u2")
    blocks = Blocks.of(huge, "zyx")
    pieces = draw([blocks], 1 << 23, 0, "zyx")
    sizes = [math.prod(s.stop - s.start for s in p.region) for p in pieces]
    assert len(pieces) == 8
    assert sum(sizes) <= 1 << 23
    assert draw([blocks], 1 << 23, 0, "zyx") == pieces
    assert draw([blocks], 1 << 23, 1, "zyx") != pieces
    small = Blocks.of(da.zeros((9, 8, 8), dtype="u1", chunks=(1, 8, 8)), None)
    assert len(draw([small], 10**9, 0)) == 9  # all blocks, none twice
    assert len(set(map(str, draw([small], 10**9, 0)))) == 9
    assert len(draw([small], 1, 0)) == 1


def test_fit_computes_only_what_it_draws_and_says_what_that_was() -> None:
    pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    stack = rng.integers(0, 40, (16, 64, 64)).cumsum(1).astype(np.uint16)
    seen: list[int] = []

    def note(block: Any, block_info: Any = None) -> Any:
        seen.append(block_info[0]["chunk-location"][0])
        return block

    source = da.from_array(stack, chunks=(1, 64, 64)).map_blocks(note, dtype=stack.dtype)
    seen.clear()
    options: dict[str, Any] = {"samples": 5 * 4096, "steps": 10, "progress": False, "name": "mine"}
    with dask.config.set(scheduler="synchronous"):
        model = fit(source, "field", **options)
        sampling = model.training["sampling"]
        named = sampling["held"] + sampling["trained"]
        assert sorted(f"0[{i}:{i + 1}, 0:64, 0:64]" for i in seen) == sorted(named)
        assert len(named) == 5
        assert (len(sampling["held"]), sampling["seed"]) == (1, 0)
        assert [entry["name"] for entry in model.training["data"]] == sampling["trained"]
        held = int(sampling["held"][0][2:].partition(":")[0])
        frame = latrans.Codec(model).encode(stack[held : held + 1])
        assert sampling["held_bits_per_sample"] == round(len(frame) * 8 / 4096, 4)
        assert fit(source, "field", **options).digest == model.digest
    assert latrans.Model.from_bytes(model.data).training["sampling"] == sampling


def test_fit_takes_several_arrays_and_refuses_what_says_nothing() -> None:
    pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    image = rng.integers(0, 40, (64, 64)).cumsum(1).astype(np.uint16)
    stored = zarr.create_array({}, data=image, chunks=(32, 32))
    flat = da.full((64, 64), 7, dtype="u2", chunks=32)
    model = fit(
        [da.from_array(image, chunks=32), stored, flat],
        "field",
        steps=10,
        progress=False,
        axes="yx",
    )
    named = model.training["sampling"]["trained"] + model.training["sampling"]["held"]
    assert {name[0] for name in named} == {"0", "1"}  # what is flat teaches nothing
    assert "1[0:64, 0:64]" in named  # chunks that are small come together
    for entry in model.training["data"]:
        rows, columns = (slice(*map(int, s.split(":"))) for s in entry["name"][2:-1].split(", "))
        piece = np.ascontiguousarray(image[rows, columns])
        assert hashlib.sha256(piece.tobytes()).hexdigest() == entry["sha256"]
    with pytest.raises(ConfigError, match="constant"):
        fit(flat, "field")
    with pytest.raises(ConfigError, match="integers or floats"):
        fit(flat.astype("c8"), "field")
    with pytest.raises(ConfigError, match="no samples"):
        fit(da.zeros((0, 4), chunks=4), "field")
    with pytest.raises(ConfigError, match="unknown size"):
        fit(flat[flat > 3], "field")
