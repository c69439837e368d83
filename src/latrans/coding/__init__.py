"""Coding: integers to bits by tables that are known beforehand (FORMAT.md 6.1 to 6.3, 7, 8).

Fixed-point arithmetic, the order in which samples are visited, tokens, the rANS coder and the
latents section: what the residual coder and the transform have in common.  Integers and tables come
in, bytes go out.  It may import `format` and `errors`.
"""
