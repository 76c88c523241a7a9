"""The commands, a file each: options, what they check and what they run."""
