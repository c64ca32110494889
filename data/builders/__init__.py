"""What the TFDS builders of `data.datasets` are built on."""
