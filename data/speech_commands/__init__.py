"""The ten digits of Speech Commands."""
