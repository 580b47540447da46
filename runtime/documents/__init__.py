"""Documents: read in bounds, and cut into pieces that can be found.

Gives the `Document`s of a folder with what could not be read of it, and the `Piece`s of a document.
May import host and what every package may.
"""
