"""OpenAI's Responses: items in, items out, and answers that are remembered for the next request.

Gives `create.create` and `stored`, handlers that translate to chat requests and back.
May import what protocols may, and `openai_chat`, whose way a request takes from there.
"""
