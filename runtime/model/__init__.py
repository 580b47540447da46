"""A model in llama.cpp: the C API, the CPU variant, the memory plan, loading.

Gives a loaded `Model`: its vocabulary, tokenizer and metadata.
May import weights and the packages above it.
"""
