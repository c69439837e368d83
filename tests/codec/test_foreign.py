"""Arrays of other libraries: brought to the host once, as they are, or refused clearly."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from latrans import Codec
from latrans.batch.foreign import on_host
from synthetic_models import make_model

ARRAY = (np.add.outer(np.arange(30), 3 * np.arange(40)) % 251).astype(np.uint8)


class OnCuda:
    """What CuPy's arrays look like to others: no ``__array__``, and memory that is not here."""

    def __init__(self):
        self.copies = 0

    @property
    def __cuda_array_interface__(self):
        return {"shape": (30, 40), "typestr": "|u1", "data": (0, True), "version": 3}

    def __array__(self, *_args, **_kwargs):
        raise TypeError("implicit conversion is not allowed")


class LikeCupy(OnCuda):
    def get(self):
        self.copies += 1
        return ARRAY.copy()


class LikeNumba(OnCuda):
    def copy_to_host(self):
        self.copies += 1
        return ARRAY.copy()


class Exported:
    """An array that is shared by DLPack alone."""

    def __init__(self, array, device=1):
        self._array, self._device = array, device

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return (self._device, 0)


@pytest.mark.parametrize("kind", [LikeCupy, LikeNumba])
def test_arrays_on_a_gpu_are_copied_once(kind):
    codec, array = Codec(make_model("plane")), kind()
    assert codec.encode(array) == codec.encode(ARRAY)
    assert array.copies == 1
    assert codec.encode_batch([array, ARRAY], 2) == [codec.encode(ARRAY)] * 2
    assert array.copies == 2


def test_others_on_a_gpu_go_through_pytorch(monkeypatch):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    asked = []

    def as_tensor(array, device):
        asked.append((array, device))
        return torch.from_numpy(ARRAY.copy())

    monkeypatch.setattr(torch, "as_tensor", as_tensor)
    codec, array = Codec(make_model("plane")), OnCuda()
    assert codec.encode(array) == codec.encode(ARRAY)
    assert asked == [(array, "cuda")]


def test_what_cannot_be_read_is_a_type_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "latrans.torch_engine.device", None)
    with pytest.raises(TypeError, match=r"OnCuda on a GPU.*latrans\[torch\]"):
        on_host(OnCuda())
    with pytest.raises(TypeError, match=r"Exported on a GPU"):
        on_host(Exported(ARRAY, device=2))


def test_dlpack_will_do():
    codec = Codec(make_model("plane"))
    assert codec.encode(Exported(ARRAY)) == codec.encode(ARRAY)


def test_what_numpy_knows_stays_as_it_is():
    for known in (ARRAY, b"bytes", [1, 2], 3.5, memoryview(b"x"), np.uint8(3)):
        assert on_host(known) is known


class TestTorch:
    @pytest.fixture(autouse=True)
    def torch(self):
        self.torch = pytest.importorskip("torch", reason="PyTorch is not installed")

    @pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
    def test_tensors_are_arrays(self, dtype):
        array = ARRAY.astype(dtype)
        codec = Codec(make_model("plane"))
        tensor = self.torch.from_numpy(array)
        assert codec.encode(tensor) == codec.encode(array)
        assert codec.encode_batch([tensor] * 3, 2) == [codec.encode(array)] * 3
        assert codec.decode(codec.encode(tensor)).dtype == array.dtype

    def test_tensors_of_any_strides_and_with_gradients(self):
        array = ARRAY.astype(np.float32)
        tensor = self.torch.from_numpy(array).requires_grad_()
        codec = Codec(make_model("plane"))
        assert codec.encode(tensor) == codec.encode(array)
        assert codec.encode(tensor.T[::2]) == codec.encode(array.T[::2])

    @pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn"])
    def test_dtypes_that_numpy_lacks_are_refused(self, name):
        tensor = self.torch.zeros(4, 4).to(getattr(self.torch, name))
        with pytest.raises(TypeError, match=rf"{name}.*convert"):
            Codec(make_model("plane")).encode(tensor)

    def test_sparse_tensors_are_refused(self):
        with pytest.raises(TypeError, match="sparse"):
            Codec(make_model("plane")).encode(self.torch.eye(4).to_sparse())

    def test_latents_take_tensors(self):
        codec = Codec("digits-1")
        array = np.zeros((2, 28, 28), np.uint8)
        assert np.array_equal(codec.latents(self.torch.from_numpy(array)), codec.latents(array))
