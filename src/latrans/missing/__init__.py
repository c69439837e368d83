"""Missing: which samples of an array stand for nothing (fill values, CF conventions).

Fill values, valid ranges and attributes come in; masks of the samples that they name, and ranges of
those that are left, go out.  It may import `errors` alone.
"""
