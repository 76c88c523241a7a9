"""What each architecture is: how its config says what its layers are, and what its GGUF files call it."""
