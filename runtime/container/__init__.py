"""The file layout of a produced executable (FORMAT.md): footer, manifest, sections, signature.

Gives bundles opened and checked, written, and verified; sections as bytes, not what they mean.
May import options, gguf, host and what stands above them.
"""
