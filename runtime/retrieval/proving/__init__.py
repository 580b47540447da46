"""Second models as the bundler tries them: do they rank rightly, and what vectors do they make.

Gives `probe.prove` and `probe.embed`, which its hidden commands call.
May import what retrieval may, and retrieval.
"""
