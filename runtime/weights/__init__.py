"""Compressed sections: weights split into byte planes, coded by zstd, restored in parallel.

Gives the original of a section, as a file descriptor, a C `FILE*` or piece by piece.
May import container and what stands above it.
"""
