"""Entropy coder: interleaved rANS over static integer tables (FORMAT.md section 7)."""
