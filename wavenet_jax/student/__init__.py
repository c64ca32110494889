"""The parallel student of a WaveNet: flows that make all samples at once, and distillation."""
