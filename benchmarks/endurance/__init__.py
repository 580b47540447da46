"""Endurance: minutes of mixed load on the produced server; see benchmarks/README.md."""
