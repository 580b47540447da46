"""The chat on a terminal, and single answers in a pipe.

Gives `run`, which opens a backend and chats or answers once; Markdown, colours, slash commands.
May import dialogue and the packages above it; never server.
"""
