"""Maps: numbers of any kind to integers that the coder takes, and back (FORMAT.md 5).

Planes of values come in, a `mapping.Mapping` goes out: integers of at most 32 bits, and what is
needed to get the values back, exactly or within a bound, by `inverse`.  `apply` tries maps on
values, `estimate` says what each would cost, `kernels` hold the loops.  It may import `coding`,
`format`, `fallback`, `missing`, `process` and `errors`.
"""
