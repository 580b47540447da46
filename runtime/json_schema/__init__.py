"""JSON schemas: what a grammar can hold an answer to, and whether it follows the rest.

Gives the form of a schema that the engine's converter knows, what was left out, and a check.
May import model and what stands above it.
"""
