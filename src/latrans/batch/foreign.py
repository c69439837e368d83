"""Foreign arrays: those of PyTorch, CuPy and others, brought to the host once; masked ones.

Nothing is imported for them: who has such an array has imported its library.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from ..errors import ConfigError

_USUAL = (np.ndarray, np.generic, bytes, bytearray, memoryview, list, tuple, int, float)
_DLPACK_CPU = 1


def on_host(array: Any) -> Any:
    """An array that NumPy takes, with the dtype it had; what NumPy knows stays as it is.

    Parameters
    ----------
    array : torch.Tensor, or anything with ``__cuda_array_interface__`` or ``__dlpack__``
        Such as CuPy's and Numba's arrays.

    Raises
    ------
    TypeError
        If NumPy has no such dtype, as for torch.bfloat16, or nothing here can read the array's
        device.
    ConfigError
        If it is a masked array with masked values.
    """
    if isinstance(array, np.ma.MaskedArray):
        return unmasked(array)
    if isinstance(array, _USUAL):
        return array
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        return _of_torch(array)
    if hasattr(array, "__cuda_array_interface__"):
        return _of_cuda(array)
    if hasattr(array, "__dlpack__") and not hasattr(array, "__array__"):
        if array.__dlpack_device__()[0] != _DLPACK_CPU:
            return _through_torch(array)
        try:
            return np.from_dlpack(array)
        except (BufferError, RuntimeError) as error:
            raise TypeError(f"NumPy cannot read this {_name(array)}: {error}") from error
    return array


def unmasked(array: Any) -> Any:
    """The values of a masked array, as netCDF4 and rasterio return them, that masks none.

    Raises
    ------
    ConfigError
        If values are masked: what lies below a mask means nothing, and frames hold no masks.
    """
    if not isinstance(array, np.ma.MaskedArray):
        return array
    n_masked = int(np.count_nonzero(np.ma.getmaskarray(array)))
    if n_masked:
        raise ConfigError(
            f"{n_masked} of {array.size} values are masked, and frames hold no masks: give "
            "array.filled(value), with a value that no valid sample has, and say "
            "fill_value=value, so that it stays what it is"
        )
    return np.asarray(array.data)


def _of_torch(tensor: Any) -> Any:
    try:
        return tensor.detach().cpu().resolve_conj().resolve_neg().numpy()
    except (TypeError, RuntimeError) as error:
        raise TypeError(
            f"latrans stores dense arrays of NumPy's dtypes, found a {tensor.layout} tensor of "
            f"{tensor.dtype}: convert it first, for instance by .float()"
        ) from error


def _of_cuda(array: Any) -> Any:
    for method in ("get", "copy_to_host"):  # of CuPy, of Numba
        if callable(getattr(array, method, None)):
            return getattr(array, method)()
    return _through_torch(array)


def _through_torch(array: Any) -> Any:
    try:
        from ..torch_engine.device import from_device
    except ImportError as error:
        raise TypeError(
            f"a {_name(array)} on a GPU can be read with PyTorch, which does not load here "
            f"({error}): pip install 'latrans[torch]', or copy the array to the host first"
        ) from error
    return _of_torch(from_device(array))


def _name(array: Any) -> str:
    return f"{type(array).__module__}.{type(array).__qualname__}"
