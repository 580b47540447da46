"""HTTP: the socket, connections, who may ask, typed endpoints, errors in JSON, the page's files.

Gives endpoints that read and write typed JSON, a guard around them, and a listener to serve them.
May import options, host and what stands above them: it knows nothing of models or protocols.
"""
