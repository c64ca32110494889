"""The absl programs: prepare, train, sample, evaluate, benchmark, demo."""

from experiments import huge_pages

huge_pages.restart_with()
