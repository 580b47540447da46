"""The protocols that clients speak: OpenAI's, llama-server's, and that of an older server in Go.

Gives typed requests and answers, and handlers that translate between them and the service.
May import server.http, server.service, dialogue and what stands above it.
"""
