"""Compile the engine, zstandard and our own C code, and install them.

Gives `python -m bundler.engine`; wheels in a cache under a key of version, flags and compiler.
May import runtime.host.app_dirs alone: it runs before anything is installed.
"""
