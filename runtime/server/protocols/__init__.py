"""The protocols that clients speak, one module each: OpenAI, llama-server, an older server in Go.

Gives typed requests and responses, and handlers that translate between them and the service.
May import server.http, dialogue and what stands above it.
"""
