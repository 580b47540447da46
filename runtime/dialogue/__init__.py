"""Conversations: chat templates, reasoning, turns, saved sessions, prompt state kept for reuse.

Gives a loaded model ready to chat, or a remote one in its place, and a conversation over either.
May import inference and what stands above it.
"""
