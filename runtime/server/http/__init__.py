"""HTTP, independent of models and protocols: sockets, access control, typed endpoints, errors.

Gives endpoints that decode and encode typed JSON, a guard around them, and a listener for them.
May import options, host and what stands above them.
"""
