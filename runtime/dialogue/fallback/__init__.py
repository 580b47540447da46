"""Fallback: a remote server that answers in place of the model that could not be loaded.

Gives `RemoteModel`, and the client that it asks the server with.
May import what the dialogue may.
"""
