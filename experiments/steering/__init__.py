"""Sound from a trained model that satisfies a constraint, given as a function of the sound."""
