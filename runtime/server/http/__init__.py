"""HTTP: the socket, connections, who may ask, routes to handlers, the page's files.

Gives endpoints that read and write typed JSON; it knows nothing of models.
May import options, host and what stands above them.
"""
