"""What a model's shapes do not say: how its norms, rotations, activations and router compute, for each architecture of files."""
