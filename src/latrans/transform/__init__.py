"""Transform: a wavelet, learned contexts and rate-distortion choice for lossy frames.

FORMAT.md section 11.  NumPy defines every integer; the compiled core does a whole band in one
call, in the width that its numbers need.
"""
