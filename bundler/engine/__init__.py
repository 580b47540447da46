"""Compile the engine, zstandard and our own C code, and install them.

Gives `python -m bundler.engine`, and the folder of all libraries for a target, from a cache.
May import bundler.targets and runtime.host.app_dirs alone: it runs before anything is installed.
"""
