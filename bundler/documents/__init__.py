"""Documents in formats that take a library, which is no part of programs: PDF.

Gives `READERS`: those that every program has, and these.
May import bundler, and of the runtime what the table in CONTRIBUTING.md lists.
"""
