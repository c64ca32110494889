"""Measurements of throughput and latency, with their rooflines."""
