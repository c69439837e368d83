"""Devices: which one a name means, what is exact on it, and the way there and back.

Integers are exact wherever they are added and multiplied as integers, and in float32 products as
long as no partial sum reaches 2**24.  PyTorch may be told to take such products in fewer bits
(TF32, bfloat16, autocast), which belongs to the user; here nothing of it is changed: products are
taken in float64 then (`product_dtype`), and `exact` keeps autocast away.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..errors import EngineError
from . import meter

_NAME = re.compile(r"torch(?::(cpu|cuda)(?::(\d{1,4}))?)?")
_FULL = ("ieee", "none")  # names of the precision that all bits take part in

Array = npt.NDArray[Any]

_forked = False  # since PyTorch was loaded, and not yet seen to


def _note_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


def find(name: str) -> torch.device:
    """The device that an engine's name means: that of "torch" is a GPU where there is one.

    Raises
    ------
    EngineError
        If there is no such device, or it cannot be used from this process.
    """
    match = _NAME.fullmatch(name)
    if match is None or (match[1] == "cpu" and match[2]):
        raise EngineError(
            f"engine {name!r} is unknown; expected 'torch', 'torch:cpu' or 'torch:cuda:0'"
        )
    if match[1] == "cpu":
        return _cpu()
    if torch.cuda._is_in_bad_fork():
        raise EngineError(
            f"engine {name!r}: CUDA was in use when this process was forked, and cannot be in "
            "its child: start workers by 'spawn' or 'forkserver', or ask for 'torch:cpu'"
        )
    n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if match[1] is None and not n_devices:
        return _cpu()
    index = int(match[2] or 0)
    if index >= n_devices:
        there = ", ".join(["torch:cpu", *(f"torch:cuda:{i}" for i in range(n_devices))])
        raise EngineError(
            f"engine {name!r}: PyTorch {torch.__version__} sees {n_devices} CUDA devices here; ask "
            f"for one of {there}, or install a PyTorch for CUDA and its driver"
        )
    return torch.device("cuda", index)


def _cpu() -> torch.device:
    global _forked
    if _forked:
        # Threads of OpenMP do not come along in a fork, and who waits for them never ends.
        torch.set_num_threads(1)
        _forked = False
    return torch.device("cpu")


def description(device: torch.device) -> str:
    """Name of the device, for people."""
    if device.type == "cpu":
        n = torch.get_num_threads()
        return f"torch (cpu, {n} thread{'s' * (n != 1)})"
    return f"torch ({device} {torch.cuda.get_device_name(device)})"


def in_flight(device: torch.device) -> int:
    """How many chunks of a batch are begun at a time: what fills the device, and fits the host."""
    return 64 if device.type == "cpu" else 256


def product_dtype(device: torch.device) -> torch.dtype:
    """Type of matrix products of integers whose partial sums stay below 2**24.

    float32, or float64 where PyTorch has been told to cut the bits of float32.
    """
    return torch.float32 if _precision(device) in _FULL else torch.float64


def _precision(device: torch.device) -> str:
    backend = torch.backends.mkldnn if device.type == "cpu" else torch.backends.cuda
    try:
        return str(backend.matmul.fp32_precision)
    except AttributeError:  # PyTorch before 2.9
        return "ieee" if torch.get_float32_matmul_precision() == "highest" else "tf32"


@cache
def int8_products(device: torch.device) -> bool:
    """Whether a GPU multiplies matrices of int8, tried once; those of the CPU gain nothing."""
    if device.type == "cpu":
        return False
    a = torch.arange(-128, 128, dtype=torch.int32, device=device).repeat(4).view(32, 32)
    b = (a.flip(1) * 3 % 251 - 125)[:16].t()
    try:
        found = torch._int_mm(a.to(torch.int8), b.to(torch.int8))
    except RuntimeError:  # an old GPU
        return False
    return torch.equal(found.cpu(), a.cpu() @ b.cpu())


@contextmanager
def exact() -> Iterator[None]:
    """Keep what PyTorch does by the way from our tensors: gradients, and casts of autocast."""
    with (
        torch.no_grad(),
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda", enabled=False),
    ):
        yield


def to_device(array: Array, device: torch.device) -> torch.Tensor:
    """An array on a device; on the CPU it may share the array's memory and is not written to.

    On CUDA the copy goes through pinned memory and runs along with the device.
    """
    start = time.perf_counter()
    if device.type == "cpu":
        array = np.ascontiguousarray(array)
        # PyTorch knows no arrays that must not be written, and warns of them.
        tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
    else:
        dtype = torch.from_numpy(np.empty(0, array.dtype)).dtype
        staged = torch.empty(array.shape, dtype=dtype, pin_memory=True)
        staged.numpy()[...] = array
        tensor = staged.to(device, non_blocking=True)
    meter.add("transfers", time.perf_counter() - start)
    return tensor


def to_host(tensors: Sequence[torch.Tensor]) -> list[Array]:
    """Tensors as arrays; one wait for all of them."""
    start = time.perf_counter()
    on_gpu = [tensor for tensor in tensors if tensor.device.type == "cuda"]
    if meter.on() and on_gpu:
        torch.cuda.synchronize(on_gpu[0].device)  # what is still computed is no transfer
        start = time.perf_counter()
    staged = [_staged(tensor) for tensor in tensors]
    for device in {tensor.device for tensor in on_gpu}:
        torch.cuda.current_stream(device).synchronize()
    arrays = [tensor.numpy() for tensor in staged]
    meter.add("transfers", time.perf_counter() - start)
    return arrays


def _staged(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.detach()
    if tensor.device.type == "cpu":
        return tensor
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return pinned.copy_(tensor, non_blocking=True)


def from_device(array: Any) -> torch.Tensor:
    """A tensor over the memory of another library's array on a GPU.

    Raises
    ------
    TypeError
        If PyTorch cannot read it.
    """
    try:
        if hasattr(array, "__cuda_array_interface__"):
            return torch.as_tensor(array, device="cuda")
        return torch.from_dlpack(array)
    except (RuntimeError, ValueError, AssertionError, BufferError) as error:
        raise TypeError(f"PyTorch cannot read an array on a GPU: {error}") from error


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory, of a device or the host's, did not suffice."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "DefaultCPUAllocator" in text
    )


def release() -> None:
    """Hand cached memory back to all devices in use."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


@cache
def room(device: torch.device) -> int:
    """Bytes that one step of a computation may take beside its results."""
    if device.type == "cpu":
        return 1 << 24  # about what a core's share of the caches holds
    total: int = torch.cuda.get_device_properties(device).total_memory
    return max(1 << 26, total // 32)
