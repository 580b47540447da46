"""The command line of `modelembed`.

Gives `main.run`: arguments in, exit status out.
May import the rest of the bundler, and of the runtime what the table in CONTRIBUTING.md lists.
"""
