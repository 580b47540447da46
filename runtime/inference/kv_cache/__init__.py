"""The engine's memory of tokens: a context, the sequences in it, the batch that comes next.

Gives `context.Context`, which decodes its batch, and keeps in its slots what it has decoded.
May import what inference may.
"""
