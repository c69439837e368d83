"""Fallback: arrays that the coder does not make smaller, by general codecs (FORMAT.md 3).

An array comes in, the smallest of what Zstandard and Blosc make of it goes out, in `payload`; the
two estimates say beforehand whether that can be smaller than what the coder has made.  It may
import `format`, `process` and `errors`.
"""
