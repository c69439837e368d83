"""Values: the coder by value, for small samples such as digits (FORMAT.md 6.7).

Items and their reconstructions come in, a residual section goes out.  `coder` is the definition,
`native` its compiled twin.
"""
