"""Throughput of training and generation, beside what limits it."""
