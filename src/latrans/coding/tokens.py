"""Tokens: the symbols that integers are coded as (FORMAT.md 6.5).

Small integers of either sign are tokens of their own, larger ones an exponent, the bit below it
and the sign; the bits between follow raw.
"""

from __future__ import annotations

from .array_ops import namespace
from .fixed_point import Ints, floor_log2

N_DIRECT = 32  # zigzagged offsets below this are tokens of their own
N_TOKENS = N_DIRECT + 4 * 27
ESCAPE = N_TOKENS  # tokens a table never saw, their number follows in 8 raw bits
N_SYMBOLS = N_TOKENS + 1


def tokenise(offset: Ints, low_bits: Ints) -> tuple[Ints, Ints, Ints]:
    """Split offsets into (token, n_raw, raw): raw holds the n_raw bits the token leaves open."""
    xp = namespace(offset)
    low = offset & ((1 << low_bits) - 1)
    quotient = offset >> low_bits
    zigzag = xp.where(quotient >= 0, 2 * quotient, -2 * quotient - 1)
    exponent = floor_log2(zigzag.clip(1))
    wide = zigzag >= N_DIRECT
    # Below the leading bit: one mantissa bit and, last, the sign go into the token.
    n_middle = xp.where(wide, exponent - 2, 0)
    middle = (zigzag >> 1) & ((1 << n_middle) - 1)
    mantissa = (zigzag >> (exponent - 1).clip(0)) & 1
    token = xp.where(wide, N_DIRECT + 4 * (exponent - 5) + 2 * mantissa + (zigzag & 1), zigzag)
    return token, n_middle + low_bits, xp.where(wide, middle << low_bits, 0) | low


def raw_length(token: Ints, low_bits: Ints) -> Ints:
    """Raw bits that follow a token."""
    wide = token >= N_DIRECT
    return namespace(token).where(wide, (token - N_DIRECT) // 4 + 3, 0) + low_bits


def untokenise(token: Ints, low_bits: Ints, raw: Ints) -> Ints:
    """Inverse of `tokenise`."""
    xp = namespace(token)
    wide = token >= N_DIRECT
    code = xp.where(wide, token - N_DIRECT, 0)
    exponent = code // 4 + 5
    middle = raw >> low_bits
    large = (1 << exponent) | ((code >> 1 & 1) << (exponent - 1)) | middle << 1 | (code & 1)
    zigzag = xp.where(wide, large, token)
    quotient = xp.where((zigzag & 1) == 1, -((zigzag + 1) >> 1), zigzag >> 1)
    return (quotient << low_bits) | (raw & ((1 << low_bits) - 1))
