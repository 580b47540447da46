"""Token generation: one llama.cpp context, many sequences in one batch.

Gives a `Scheduler` that turns prompts into streams of tokens; samplers, stop strings, embeddings.
May import model and what stands above it.
"""
