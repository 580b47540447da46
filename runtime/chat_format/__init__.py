"""How a model writes conversations: chat templates, reasoning, tool calls.

Gives prompts rendered from messages, and answers divided into text, reasoning and tool calls.
May import inference and what stands above it.
"""
