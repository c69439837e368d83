"""Codec: arrays to frames and back.

The public face of everything else.  A codec is cheap to make, holds no state between calls, may
be shared by threads, and touches its model only when data is.  A chunk that the model does not
suit is stored by the fallback, so that nothing an array can hold is refused.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .batch.batches import Batches
from .batch.foreign import on_host
from .chunk.rate import DEFAULT_RATE, Rate
from .errors import CodecError, ConfigError
from .fallback import payload
from .fallback.frames import fallback_frame, smaller_of
from .format.dtypes import contiguous, numeric_dtype_of, parts_of, restore_dtype, to_numeric
from .format.frame import Buffer, Frame, as_bytes, pack, unpack
from .missing.missing import Missing
from .options import CodecOptions

if TYPE_CHECKING:
    from .models.model import Model

Array = npt.NDArray[Any]


class Codec(CodecOptions, Batches):
    """Compress arrays with a model.

    Parameters
    ----------
    model : str, path, bytes or Model
        As `latrans.open_model` takes it, or "auto": the shipped model that makes least of a small
        piece of each array, see `latrans.chunk.choose_model`.
    mode : {"lossless", "bounded", "lossy"}
        Bit-exact; no value off by more than `max_error`; latents alone.
    max_error : float
        Largest absolute error, in units of the data; bounded mode only.  Of complex values it is
        the modulus of the error; real and imaginary part are each within 0.7071 of it.  Booleans
        stay exact.
    fill_value : number, or several, optional
        Values that stand for "missing": they come back exactly in every mode, and no other value
        comes back as one of them; of complex data, each part is compared with them.
    axes : str, optional
        One letter per dimension: `y` `x` spatial, `t` time, `z` depth, `c` channel or band, `n`
        independent items.  The model's own axes, with `n` in front, by default.
    engine : {"native", "reference", "torch", "torch:cpu", "torch:cuda:0", ...}, optional
        What runs networks and residual coder; all give the same bytes.  "torch" works on a GPU
        where there is one, and is for batches; see `latrans.engine` for what runs where.
    quality : float, optional
        Above 0, at most 100: how fine lossy mode is, for models of more than one rate such as
        "image-lossy-1".  The quantisation step is ``range / 2 ** (quality / 10)``, with the range
        of the chunk's values; 50 by default.
    step : float, optional
        The quantisation step itself, in units of the data, in place of `quality`: chunks of
        different range then have the same error.
    valid_range : (lowest, highest), or several such pairs, optional
        Limits, included, or None for none.  What lies outside is missing, too; modes "bounded" and
        "lossy" move no value out of the range that it is in.

    Examples
    --------
    >>> import numpy as np
    >>> from latrans import Codec
    >>> image = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    >>> codec = Codec("image-1")
    >>> frame = codec.encode(image)
    >>> len(frame) < image.nbytes, np.array_equal(codec.decode(frame), image)
    (True, True)
    """

    def __repr__(self) -> str:
        pairs = ((field.name, getattr(self, field.name)) for field in fields(CodecOptions))
        named = {name: repr(value) for name, value in pairs if value is not None}
        if isinstance(self.model, bytes | bytearray | memoryview):
            named["model"] = f"{len(self.model)} bytes"
        elif isinstance(self.model, str):
            from .models.store import brief

            named["model"] = repr(brief(self.model))
        return f"Codec({', '.join(f'{k}={v}' for k, v in named.items())})"

    def encode(self, array: npt.ArrayLike | Buffer) -> bytes:
        """Encode an array of any dtype (but objects), shape and memory order.

        Parameters
        ----------
        array : array, or bytes-like
            Arrays of NumPy or what it can make one of; also tensors of PyTorch and arrays with
            ``__cuda_array_interface__`` or ``__dlpack__``, which are brought to the host once.

        Raises
        ------
        TypeError
            For arrays of Python objects, or of a dtype that NumPy does not have.
        ConfigError
            If `axes` do not fit the array.
        ModelNotFoundError
            If the model is not found.
        """
        return self._encode_some([array])[0]

    def _encode(self, array: npt.ArrayLike | Buffer) -> bytes:
        if isinstance(array, (bytes, bytearray, memoryview)):
            array = np.frombuffer(array, np.uint8)
            return pack(fallback_frame(array, array.dtype, False))
        array = np.asanyarray(array)
        if array.dtype.hasobject:
            raise TypeError("latrans stores numbers, not Python objects: convert the array first")
        dtype = array.dtype
        fortran = bool(array.ndim > 1 and array.flags.f_contiguous and not array.flags.c_contiguous)
        plain = contiguous(array, "C")
        judged = carried = to_numeric(plain)
        if carried is None and self.mode == "bounded":
            # Complex values; without a bound they are left to the fallback.
            carried = parts_of(plain)
            judged = None if carried is None else carried[..., 0]
        model = self._open(judged)
        if model is not None:
            self.check_model(model)
        frame = None
        if carried is not None and plain.ndim and model is not None:
            frame = self._try(model, carried, dtype, fortran)
        if frame is None:
            return pack(fallback_frame(plain, dtype, fortran))
        packed = pack(frame)
        if self.mode == "lossy":
            return packed
        return smaller_of(packed, plain, dtype, fortran)

    def decode(self, frame: Buffer, out: Array | None = None) -> Array:
        """Decode a frame; dtype, byte order, shape and memory order are those of the array.

        Parameters
        ----------
        frame : bytes-like
        out : array, optional
            Filled and returned; must have the frame's shape, and its dtype.

        Raises
        ------
        CodecError
            If the frame is damaged or `out` does not fit.
        ModelNotFoundError
            If the model that wrote the frame is not found.
        """
        (array,) = self._decode_some([frame])
        if out is None:
            return array
        if out.shape != array.shape or out.dtype != array.dtype:
            raise CodecError(
                f"out has shape {out.shape} and dtype {out.dtype}, the frame {array.shape} and "
                f"{array.dtype}"
            )
        out[...] = array
        return out

    def encode_untyped(self, data: Array) -> bytes:
        """Encode uint8 data of unknown meaning: losslessly, in every mode."""
        model = self._open(data)
        if model is None or model.lossy_only:
            return pack(fallback_frame(data, data.dtype, False))
        return Codec(model, "lossless", engine=self.engine).encode(data)

    def latents(self, item: Array | Buffer) -> Array:
        """Latents of an array or of a frame, (planes, ...) in their dtype.

        Those of an autoencoder are (planes, channels, ...), those of a transform
        (planes, rows, columns): its quantised bands, the coarse ones upper left.
        """
        from .chunk import decode, encode

        item = on_host(item)
        if isinstance(item, np.ndarray):
            carried = to_numeric(contiguous(item, "C"))
            opened = self._open(carried)
            if carried is not None and carried.ndim and opened is not None:
                lossy = _in_mode(self, "lossy")
                lossy.check_model(opened)
                latents = encode.latents_alone(lossy._task(opened), carried)
                if latents is not None:
                    return latents
        parts, model = self._with_latents(item)
        return decode.latents_of(model, parts, self.engine)

    def preview(self, item: Array | Buffer) -> Array:
        """What the latents of a frame (or of an array) alone look like: same shape, same dtype."""
        parts, model = self._with_latents(item)
        from .chunk import decode

        return restore_dtype(
            decode.preview(model, parts, numeric_dtype_of(parts), self.engine), parts
        )

    def cost_map(self, array: Array) -> npt.NDArray[np.float64]:
        """Bits that each sample of an array takes in lossless mode, same shape as the array."""
        from .chunk.cost_map import cost_map

        array = on_host(array)
        carried = to_numeric(np.ascontiguousarray(array))
        if carried is None:
            raise ConfigError(f"a cost map needs numbers of up to 32 bits, found {array.dtype}")
        model = self._open(carried)
        if model is None:
            raise ConfigError(f"no shipped model takes an array of shape {array.shape}")
        return cost_map(replace(self._task(model), mode="lossless"), carried)

    def _open(self, carried: Array | None) -> Model | None:
        """The model that was asked for; with "auto" one that suits the array, if any does."""
        if self.model != "auto":
            from .models.store import open_model

            return open_model(self.model)
        if carried is None or not carried.ndim:
            return None
        from .chunk.choose_model import choose

        options = (self.mode, self.max_error, self.missing, self.axes, self.engine)
        return choose(carried, *options)

    def _task(self, model: Model) -> Any:
        from .chunk.encode import Task

        plain = self.quality is None and self.step is None
        return Task(
            model,
            self.mode,
            self.max_error,
            Missing.of(self.fill_value) if self.mode == "lossless" else self.missing,
            self.axes,
            self.engine,
            DEFAULT_RATE if plain else Rate(self.quality, self.step),
        )

    def _try(
        self, model: Model, carried: Array, dtype: np.dtype[Any], fortran: bool
    ) -> Frame | None:
        from .chunk import encode

        task, frame = self._task(model), None
        if not (self.mode == "bounded" and dtype.kind == "b"):  # nothing is near true but true
            frame = encode.encode(task, carried, dtype, fortran)
        if frame is None and self.mode == "bounded":
            # What cannot be kept within the bound is kept exactly.
            values = Missing.of(self.fill_value)
            task = replace(task, mode="lossless", max_error=None, fill_value=values)
            frame = encode.encode(task, carried, dtype, fortran)
        return frame

    def _keep(self, packed: bytes, array: Array) -> bytes:
        return smaller_of(packed, array, array.dtype, False)

    def _decode(self, frame: bytes) -> Array:
        parts = unpack(frame)
        if parts.fallback:
            return restore_dtype(payload.decode(parts.residual, parts.dtype, parts.shape), parts)
        from .chunk import decode

        model, dtype = self._model_of(parts), numeric_dtype_of(parts)
        array = restore_dtype(decode.decode(model, parts, dtype, self.engine), parts)
        if parts.mode != "lossy":
            from .batch.small_chunks import remember_shape

            remember_shape(model, parts, self.engine)
        return array

    def _model_of(self, parts: Frame) -> Model:
        from .models.store import model_of_frame

        assert parts.model_digest is not None
        return model_of_frame(parts.model_digest.hex(), self.model)

    def _with_latents(self, item: Array | Buffer) -> tuple[Frame, Model]:
        item = on_host(item)
        if isinstance(item, np.ndarray):
            item = _in_mode(self, "lossy").encode(item)
        parts = unpack(as_bytes(item))
        if parts.fallback or parts.latent_dtype == "none":
            raise CodecError(
                "the frame holds no latents: it was written by the fallback, or losslessly by a "
                "model whose residual needs none"
            )
        return parts, self._model_of(parts)


def _in_mode(codec: Codec, mode: str) -> Codec:
    """The same codec in another mode (not bounded)."""
    if mode == "lossy":
        return replace(codec, mode=mode, max_error=None)
    return replace(codec, mode=mode, max_error=None, quality=None, step=None)
