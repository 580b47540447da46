"""Formats of pictures and sounds, each walked from its first byte to its last.

Gives for each the size of what is in a file, which is whole and within the bounds.
May import host and what every package may.
"""
