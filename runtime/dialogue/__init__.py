"""Conversations: turns, saved sessions, prompt state kept for reuse, the fallback to a server.

Gives a loaded model ready to chat, or a remote one in its place, and a conversation over either.
May import chat_format and what stands above it.
"""
