"""The operating system: files, streams, signals, processors and memory, one module a subject.

Gives whatever differs, or will differ, between systems; nothing else asks which system this is.
May import errors, sanitize, units.
"""
