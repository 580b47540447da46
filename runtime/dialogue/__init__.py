"""Conversations: chat templates, prompts, reasoning, calls of tools, turns, saved sessions.

Gives a loaded model ready to chat, or a remote one in its place, and a conversation over either.
May import inference and what stands above it.
"""
