"""Answers from documents: what is found for a question, and how a model is asked with it.

Gives a `Library` of passages, models that help to find them, a `Grounder` that asks with them.
May import search, documents, inference, model and the packages above them.
"""
