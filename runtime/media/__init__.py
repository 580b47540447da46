"""Pictures and sounds of strangers: looked through in bounds before the engine decodes them.

Gives `Picture`s and `Sound`s, read from bytes, data URLs and, if that was allowed, from the web.
May import host and what every package may.
"""
