"""Encoded columns: several numeric columns of a table stored as one, by runs of rows.

Columns of numbers come in, one of the extension type ``latrans.columns`` goes out, and back; rows
may be filtered and sorted in between.
"""
