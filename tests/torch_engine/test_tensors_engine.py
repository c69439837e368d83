"""Engine "torch": which device it is, what runs on it, and the same bytes as everywhere."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch

import latrans
from latrans import Codec
from latrans.engine import VARIABLE, reference, select
from latrans.engine.program import Layer, Program
from latrans.errors import CodecError, ConfigError, EngineError
from latrans.torch_engine import device as devices
from latrans.torch_engine import meter, programs
from shipped import CODECS

CPU = torch.device("cpu")
DEVICES = ["torch:cpu", "torch:cuda"] if torch.cuda.is_available() else ["torch:cpu"]
SHIPPED = sorted(path.parent.name for path in CODECS.glob("*/model.safetensors"))
OPTIONS = {
    "image-lossy-1": {"mode": "lossy", "quality": 40},
    "field-1": {"mode": "bounded", "max_error": 0.2},
}


def chunks_of(name, n, seed=0):
    """Small chunks that suit a shipped codec, some of them cut off as at an array's edge."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(n):
        if name.startswith("digits"):
            found.append(rng.integers(0, 256, (1 + i % 2, 28, 28)).astype(np.uint8))
        elif name.startswith(("series", "table")):
            length = 1500 - 333 * (i % 2)
            steps = rng.integers(-9, 10, (length, 2)).cumsum(0).astype(np.int16)
            found.append(steps if name.startswith("table") else steps[:, 0])
        else:
            rows, columns = 34, 32 - i % 2
            walk = rng.integers(-3, 4, (rows, columns)).cumsum(0).cumsum(1) % 200
            if name.startswith("rgb"):
                found.append(np.stack([walk, walk // 2, 255 - walk], -1).astype(np.uint8))
            elif name.startswith("field"):
                found.append((walk / 8).astype(np.float32))
            else:
                found.append(walk.astype(np.uint16))
    return found


class TestDevice:
    def test_names_say_where_it_runs(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        for name in ("torch", "torch:cpu"):
            engine = select(name)
            assert engine.name == "torch:cpu"
            assert engine.description == devices.description(CPU)
            assert engine.on_tensors
        assert devices.description(CPU).startswith("torch (cpu, ")

    def test_the_environment_names_it(self, monkeypatch):
        monkeypatch.setenv(VARIABLE, "torch:cpu")
        assert latrans.engine() == devices.description(CPU)

    def test_a_gpu_comes_first_where_there_is_one(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        assert devices.find("torch") == devices.find("torch:cuda") == torch.device("cuda", 0)
        assert devices.find("torch:cuda:1") == torch.device("cuda", 1)
        with pytest.raises(EngineError, match=r"sees 2 CUDA devices.*torch:cuda:1"):
            devices.find("torch:cuda:2")

    @pytest.mark.parametrize("name", ["torch:cuda", "torch:cuda:0"])
    def test_a_gpu_that_is_not_there_is_an_error(self, monkeypatch, name):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(EngineError, match=r"sees 0 CUDA devices.*torch:cpu"):
            select(name)
        with pytest.raises(EngineError, match="sees 0 CUDA devices"):
            Codec("image-1", engine=name).encode_batch([np.zeros((9, 9), np.uint8)])

    @pytest.mark.parametrize("name", ["torch:", "torch:cpu:0", "torch:tpu", "torch:cuda:x"])
    def test_names_that_mean_nothing_are_errors(self, name):
        with pytest.raises(EngineError, match=r"unknown; expected 'torch', 'torch:cpu'"):
            select(name)
        with pytest.raises(EngineError, match="native, reference, torch"):
            select("torches")

    def test_cuda_after_a_fork_is_an_error(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: True)
        for name in ("torch", "torch:cuda:0"):
            with pytest.raises(EngineError, match=r"forked.*spawn"):
                select(name)
        assert select("torch:cpu").name == "torch:cpu"

    def test_without_pytorch_it_is_an_error_that_says_what_to_install(self):
        program = """
import sys
sys.modules["torch"] = None
import latrans.engine
try:
    latrans.engine.select("torch:cpu")
except latrans.errors.EngineError as error:
    print(error)
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert "pip install 'latrans[torch]'" in done.stdout, done.stderr


class TestExactness:
    WIDE = Program(
        (Layer("dense", np.full((3, 32), 127, np.int8), np.zeros(3, np.int32),
               np.ones(3, np.uint8), -(1 << 22), 1 << 22),),
        0, 4097, (32,),
    )  # fmt: skip
    INPUT = np.random.default_rng(0).integers(4000, 4098, (50, 32)).astype(np.int32)

    @pytest.mark.parametrize("precision", ["highest", "high", "medium"])
    def test_products_keep_all_bits_whatever_pytorch_was_told(self, precision):
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(precision)
        try:
            expected = torch.float32 if precision == "highest" else torch.float64
            assert devices.product_dtype(CPU) == expected
            assert devices.product_dtype(torch.device("cuda")) == expected
            found = select("torch:cpu").run(self.WIDE, self.INPUT)
            assert torch.get_float32_matmul_precision() == precision
        finally:
            torch.set_float32_matmul_precision(before)
        assert np.array_equal(found, reference.run(self.WIDE, self.INPUT))

    def test_autocast_does_not_reach_them(self):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = select("torch:cpu").run(self.WIDE, self.INPUT)
            assert torch.is_autocast_enabled("cpu")
        assert np.array_equal(found, reference.run(self.WIDE, self.INPUT))

    def test_int8_products_are_tried_before_they_are_taken(self, monkeypatch):
        # A device that is no CPU by name, on which the same products run.
        class Fake:
            type = "fake"

        def on_cpu(function):
            return lambda *args, device, **options: function(*args, **options)

        monkeypatch.setattr(torch, "arange", on_cpu(torch.arange))
        assert not devices.int8_products(CPU)
        assert devices.int8_products(Fake())
        monkeypatch.setattr(torch, "_int_mm", lambda a, b: torch.zeros(32, 16, dtype=torch.int32))
        assert not devices.int8_products(Fake())

        def unsupported(a, b):
            raise RuntimeError("CUBLAS_STATUS_NOT_SUPPORTED")

        monkeypatch.setattr(torch, "_int_mm", unsupported)
        assert not devices.int8_products(Fake())

    @pytest.mark.parametrize("int8", [False, True])
    @pytest.mark.parametrize("room", [1, 4000, 60_000])
    def test_results_do_not_depend_on_the_memory_there_is(self, monkeypatch, room, int8):
        rng = np.random.default_rng(1)
        layers = tuple(
            Layer(
                "conv", rng.integers(-9, 10, (n, m, 3, 5)).astype(np.int8),
                rng.integers(-99, 99, n).astype(np.int32), np.full(n, 5, np.uint8), -127, 127, s,
            )
            for n, m, s in ((6, 2, (2, 1)), (8, 6, (1, 3)))
        )  # fmt: skip
        program = Program((*layers, Layer("shuffle", factor=(2, 2))), -127, 127, (2, None, None))
        program.check()
        x = rng.integers(-127, 128, (5, 2, 41, 23)).astype(np.int32)
        monkeypatch.setattr(programs, "room", lambda device: room)
        found = programs.run_many(CPU, program, [x[:2], x[2:3], x[3:]], int8)
        assert [len(part) for part in found] == [2, 1, 2]
        assert np.array_equal(np.concatenate(found), reference.run(program, x))

    def test_arrays_are_neither_written_to_nor_need_to_be_writable(self):
        array = np.arange(6, dtype=np.int32).reshape(2, 3)
        array.setflags(write=False)
        tensor = devices.to_device(array.T, CPU)
        (back,) = devices.to_host([tensor])
        assert np.array_equal(back, array.T)


@pytest.mark.parametrize("engine", DEVICES)
@pytest.mark.parametrize("name", SHIPPED)
def test_batches_have_the_bytes_of_the_compiled_engine(name, engine):
    options = OPTIONS.get(name, {})
    codec = Codec(name, engine=engine, **options)
    chunks = chunks_of(name, 3)
    expected = [Codec(name, **options).encode(chunk) for chunk in chunks]
    frames = codec.encode_batch(chunks, threads=2)
    assert frames == expected
    back = codec.decode_batch(frames, threads=2)
    for found, frame in zip(back, frames, strict=True):
        wanted = Codec(name).decode(frame)
        assert found.dtype == wanted.dtype
        assert np.array_equal(found, wanted)


@pytest.mark.parametrize("engine", DEVICES)
@pytest.mark.parametrize("batch", [1, 3, 16])
def test_the_batch_does_not_show_in_the_bytes(models, batch, engine):
    chunks = [*chunks_of("image-1", 5), np.zeros((0, 3)), np.arange(5.0), np.array(7)]
    codec = Codec(models["plane"], engine=engine)
    with meter.metered() as seen:
        frames = codec.encode_batch(chunks, threads=2, batch=batch)
    assert frames == [Codec(models["plane"]).encode(chunk) for chunk in chunks]
    assert max(size for _, size in seen.groups) <= batch
    if batch == 16:
        assert max(size for _, size in seen.groups) > 1
    if batch > 3:
        for found, chunk in zip(codec.decode_batch(frames, 2, batch), chunks, strict=True):
            assert np.array_equal(found, chunk)


@pytest.mark.parametrize("engine", DEVICES)
def test_a_batch_of_256_chunks_has_the_same_bytes(models, engine):
    rng = np.random.default_rng(5)
    walks = (rng.integers(-3, 4, (32, 32)).cumsum(0).cumsum(1) % 200 for _ in range(256))
    chunks = [walk.astype(np.uint8) for walk in walks]
    with meter.metered() as seen:
        frames = Codec(models["plane"], engine=engine).encode_batch(chunks, 2, batch=256)
    assert frames == Codec(models["plane"]).encode_batch(chunks)
    sizes = [size for _, size in seen.groups]
    assert sum(sizes) / len(sizes) >= 32
    assert max(sizes) >= 128


def test_the_variable_sets_the_batch(models, monkeypatch):
    monkeypatch.setenv("LATRANS_BATCH", "4")
    with meter.metered() as seen:
        Codec(models["plane"], engine="torch:cpu").encode_batch(chunks_of("image-1", 12), 2)
    assert 2 <= max(size for _, size in seen.groups) <= 4


@pytest.mark.parametrize("engine", ["native", "torch:cpu"])
def test_a_batch_that_is_no_number_is_refused(engine):
    for bad in (0, "2", True):
        with pytest.raises(ConfigError, match="batch is"):
            Codec("image-1", engine=engine).encode_batch([], batch=bad)


def test_a_damaged_frame_is_named_by_its_own_error(models):
    codec = Codec(models["plane"], engine="torch:cpu")
    frames = [Codec(models["plane"]).encode(chunk) for chunk in chunks_of("image-1", 3)]
    frames[2] = frames[2][:-1]
    with pytest.raises(CodecError, match="checksum"):
        codec.decode_batch(frames, 2)


def test_errors_are_those_of_one_by_one(models):
    codec = Codec(models["plane"], engine="torch:cpu")
    with pytest.raises(TypeError, match="Python objects"):
        codec.encode_batch([*chunks_of("image-1", 3), np.array([None])], 2)


def test_auto_chooses_as_everywhere():
    chunks = chunks_of("image-1", 2)
    codec = Codec("auto", engine="torch:cpu")
    assert codec.encode_batch(chunks, 2) == [Codec("auto").encode(chunk) for chunk in chunks]


def test_latents_and_previews_are_the_same():
    chunk = chunks_of("digits-1", 1)[0]
    here, there = (Codec("digits-1", engine=e) for e in (None, "torch:cpu"))
    assert np.array_equal(here.latents(chunk), there.latents(chunk))
    frame = Codec("digits-1", "lossy").encode(chunk)
    assert np.array_equal(here.preview(frame), there.preview(frame))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_it_works_in_a_forked_child_too():
    program = """
import os
import numpy as np
import torch
from latrans import Codec
torch.set_num_threads(2)
chunks = [(np.arange(1056).reshape(33, 32) * (i + 3) % 251).astype(np.uint8) for i in range(3)]
codec = Codec("image-fast-1", engine="torch:cpu")
product = torch.ones(3000, 300) @ torch.ones(300, 3000)  # by threads that no child has
expected = codec.encode_batch(chunks, 2)
child = os.fork()
if child == 0:
    found = codec.encode_batch(chunks, 2)
    assert torch.equal(torch.ones(3000, 300) @ torch.ones(300, 3000), product)
    os._exit(0 if found == expected else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], timeout=120, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
