"""The chat in a terminal, and one answer in a pipe.

Gives `run`: from options and a question to an exit, with Markdown, colours and commands on the way.
May import dialogue and what stands above it; never server.
"""
