"""Transform: a wavelet, learned contexts and rate-distortion choice for lossy frames.

Planes of integers come in, a latents section goes out, and back (FORMAT.md 11).  NumPy defines
every integer; the compiled core does a whole band in one call, in the width that its numbers need.
It may import `coding`, `engine`, `format` and `errors`.
"""
