"""Write an executable: compress, hash, sign, prewarm, and make it again to compare.

Gives `bundle.make`, from a stub and a model to one file.
May import bundler.model, and of the runtime what the table in CONTRIBUTING.md lists.
"""
