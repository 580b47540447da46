"""Ollama's API over the one model: conversations, texts, vectors, and what model there is.

Gives typed requests and responses, and handlers that translate between them and the service.
May import what protocols may, and protocols.
"""
