"""What the programs do, as functions: a program parses flags and calls one of these."""
