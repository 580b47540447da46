"""The options of a produced program: command line, baked-in defaults and config files share them.

Gives one frozen dataclass `Options`, its checks, and the text that describes each option.
May import host and what stands above it.
"""
