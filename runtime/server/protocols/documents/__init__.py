"""Documents over the API: passages before a question, sources behind an answer, a search.

Gives what chat completions need of them, and the handlers of `/v1/search` and `/v1/documents`.
May import what the protocols may.
"""
