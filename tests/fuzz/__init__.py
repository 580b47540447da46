"""Random damage to untrusted input; `make fuzz` runs it for a given time."""
