"""Backends for GPUs: compiled, with what their makers give to compile them with.

Gives `vulkan.build_vulkan` and `cuda.build_cuda`, each a library for the engine's.
May import what the engine may.
"""
