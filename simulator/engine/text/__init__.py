"""Text to tokens and back, by the vocabulary inside a GGUF file."""
