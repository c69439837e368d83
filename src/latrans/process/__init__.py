"""Process: what the library needs of the process that it runs in, and of its file system.

Threads that end before the interpreter does, files that appear whole or not at all, a progress bar,
and numcodecs imported with an error that says what to do.  Nothing here knows of arrays or frames;
it may import `errors` alone.
"""
