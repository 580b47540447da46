"""An index of documents: texts, words and vectors in one part of a file, and the search in it.

Gives `Writer`, which makes the part, `Index`, which finds pieces in it where it lies, and passages.
May import container, host and what every package may.
"""
