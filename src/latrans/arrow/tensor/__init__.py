"""Tensor columns: arrays in the rows of a table, one frame per row.

A column of arrays comes in, a column of the extension type ``latrans.tensor`` goes out, and back.
"""
