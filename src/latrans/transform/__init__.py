"""Transform: a wavelet, learned contexts and rate-distortion choice for lossy frames.

FORMAT.md section 11.  NumPy defines every integer; the compiled core repeats the two loops that
cannot be told as whole-array arithmetic.
"""
