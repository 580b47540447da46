"""Measure what modelembed promises, side by side with the tools that people use instead."""
