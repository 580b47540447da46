"""The formats of documents that the standard library suffices for: text, HTML, mail, Word, EPUB.

Gives a reader for each: from bytes and a path to a `Document`.
May import the rest of documents, and what it may.
"""
