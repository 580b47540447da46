"""Protocols: the APIs of OpenAI, of llama-server, and of an older server in Go.

Gives typed requests and responses, and handlers that translate between them and the service.
May import server.http, server.service, dialogue and what stands above it.
"""
