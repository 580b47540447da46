"""Anthropic's Messages: content in blocks, with thinking, calls of tools and what these gave.

Gives `messages.create` and `messages.count_tokens`, handlers that translate to chat requests.
May import what protocols may, and `openai_chat`, whose way a request takes from there.
"""
