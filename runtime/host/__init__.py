"""The operating system: files, streams, signals, processors and memory, one topic per module.

Gives whatever differs between operating systems; no other package checks which one it runs on.
May import errors, sanitize, units.
"""
