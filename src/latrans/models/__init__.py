"""Models: everything a frame needs beside its own bytes, and where it is found (FORMAT.md 9).

A name, path, digest or the bytes of a file come in, a `model.Model` goes out, which keeps what
engines have prepared of it.  It may import `coding`, `engine`, `format`, `process`, `residual`,
`transform` and `errors`.
"""
