"""The model behind HTTP: protocols of clients, and a page to chat in.

Gives `main.run`: from options to a server that ends when it is told to.
May import its own packages http, service and protocols, dialogue and what stands above it; never
terminal. Starlette, uvicorn and msgspec are imported here alone.
"""
