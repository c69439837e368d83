"""Residual coder: what is stored on top of the latents so that planes come back exactly.

Data path: `geometry` says which neighbours a sample may see, `linear` predicts it, `features`
describes its surroundings to a small integer network, `classes` turns the network's answer into
a probability table, `reference` (and its compiled twin `native`) run that over planes, `coder`
writes and reads the section.
"""
