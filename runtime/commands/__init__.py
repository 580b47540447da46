"""The command line of a produced executable.

Gives `main.run`: arguments in, exit status out; one module per command that needs one.
May import everything above it, server and terminal included.
"""
