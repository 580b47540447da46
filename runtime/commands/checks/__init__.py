"""What `doctor` checks: the machine, and what the file holds.

Gives Findings. May import what the commands may.
"""
