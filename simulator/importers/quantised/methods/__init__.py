"""What each quantising library's statement means, one module for those that are alike."""
