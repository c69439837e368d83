"""rANS: the entropy coder, interleaved, over static integer tables (FORMAT.md 7).

Symbols and tables come in, bytes go out, and back: `reference` is the definition, `native` its
compiled twin, `sequences` codes lists of symbols whose tables are known beforehand, `tables` holds
what all of them have in common.
"""
