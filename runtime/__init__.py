"""What runs inside a produced executable."""

import time

__version__ = "0.1.0"

START = time.perf_counter()
"""When this program's own code began to run."""
