"""The command line of a produced program.

Gives `main.run`: arguments in, exit status out; one module a command that is more than a call.
May import everything above it, server and terminal included.
"""
