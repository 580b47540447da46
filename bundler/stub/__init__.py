"""Build the stub, the runtime as an executable without a model.

Gives the path of a stub, built by PyInstaller or taken from the cache.
May import bundler.engine, and of the runtime what the table in CONTRIBUTING.md lists.
"""
