"""The sandbox of a loaded program: no file, host or other program that it does not need.

Gives its restrictions, their proof, and the process outside that does what users still ask for.
May import host and what stands above it.
"""
