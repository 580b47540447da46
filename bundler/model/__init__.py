"""Check a model before it is bundled.

Gives an opened model, merged where it was split, and what is wrong with it in plain words.
May import of the runtime what the table in CONTRIBUTING.md lists.
"""
