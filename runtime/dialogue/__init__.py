"""Conversations: chat templates, prompts, reasoning, tool calls, turns, sessions, kept prefixes.

Gives a loaded model ready to chat, or a remote one in its place, and a conversation over either.
May import inference and what stands above it.
"""
