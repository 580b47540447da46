"""Conversations: chat templates, reasoning, turns, saved sessions, prewarmed prefixes.

Gives a loaded model ready to chat, or a remote one in its place, and a conversation over either.
May import inference and the packages above it.
"""
