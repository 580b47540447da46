"""Token generation: decoding of many sequences in one batch, sampling, embeddings.

Gives a `Scheduler` that turns prompts into streams of tokens; samplers, stop strings, embeddings.
May import model and the packages above it.
"""
