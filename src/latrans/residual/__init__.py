"""Residual coder: what is stored on top of the latents so that planes come back exactly.

Pieces of integers (rows, columns) come in, a residual section goes out, and back (FORMAT.md 6).
`plan` chooses how each piece is predicted, with coefficients from `fit`; `features` describes a
sample's surroundings to a small integer network, `classes` turns the network's answer into a
probability table, `reference` and its compiled twin `native` run that over pieces, `coder` writes
and reads the section, `select` chooses the twin.  It may import `coding`, `engine`, `format` and
`errors`.
"""
