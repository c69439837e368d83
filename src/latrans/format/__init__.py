"""Format: the bytes of a frame and what they say about the array inside (FORMAT.md 2, 4.1).

Bytes come in, a `frame.Frame` with the sections as bytes goes out, and the other way; `dtypes` says
what an array is as numbers, `axes` how its dimensions are laid out as planes.  No model is needed.
It may import `errors` alone.
"""
