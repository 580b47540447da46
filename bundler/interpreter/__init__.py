"""Make the Python that goes into stubs, compiled for a target: the running one ties a stub to here.

Gives a target's environment: CPython with its libraries, and the packages that stubs contain.
May import bundler.engine, bundler.targets, and what bundler.engine may of the runtime.
"""
