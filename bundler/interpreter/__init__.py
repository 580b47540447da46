"""Make the Python that goes into stubs: compiled for a target's glibc, whatever the host has.

The building machine's own Python would tie every stub to that machine's glibc and processor.
Uses nothing but the standard library; may import bundler.engine and bundler.targets.
"""
