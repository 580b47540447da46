"""Random damage to what is read from strangers; `make fuzz` runs it for a time of one's choice."""
