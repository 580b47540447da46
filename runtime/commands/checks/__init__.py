"""What `doctor` checks: the machine, and what the file holds.

Gives modules of checks, each of which returns a Finding, and `finding.Finding`.
May import what the commands may.
"""
