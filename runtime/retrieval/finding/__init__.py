"""What pieces are found by: words and meaning as one ranking, evidence, what was asked before.

Gives functions over rankings and questions, which open nothing.
May import host, search and what every package may.
"""
