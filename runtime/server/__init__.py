"""HTTP server: a web page, and the protocols of OpenAI's and llama-server's clients.

Gives `main.run`, which serves a model until it is told to stop.
May import its own packages http, service and protocols, dialogue and what stands above it; never
terminal. Starlette, uvicorn and msgspec are imported here alone.
"""
