"""Devices beside the processor that a model is computed on: GPUs, other machines; and lending one.

Gives the engine started with those that work, a model's place on them, and the worker that lends.
May import inference and what stands above it.
"""
