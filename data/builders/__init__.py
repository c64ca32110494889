"""Base classes and helpers of the TFDS builders in `data.datasets`."""
