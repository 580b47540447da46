"""A model in llama.cpp: the one door to its C API, the CPU variant to use, memory, loading.

Gives a loaded `Model`: its vocabulary, tokens and metadata.
May import weights and what stands above it.
"""
