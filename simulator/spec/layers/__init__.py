"""What stands inside a layer: attention or recurrence, then a feed-forward network; each knows its tensors and its state."""
