"""Residual coder: what is stored on top of the latents so that planes come back exactly.

Planes of integers (rows, columns) come in, a residual section goes out, and back (FORMAT.md 6).
`fit` predicts each sample from the neighbours that `coding.geometry` names, `features` describes
its surroundings to a small integer network, `classes` turns the network's answer into a probability
table, `reference` (and its compiled twin `native`) run that over planes, `coder` writes and reads
the section.  It may import `coding`, `engine`, `format` and `errors`.
"""
