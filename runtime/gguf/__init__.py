"""GGUF, the file format of models.

Gives headers read from untrusted files, the types of tensors, and what a file is that is no GGUF.
May import host and what stands above it.
"""
