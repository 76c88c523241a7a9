"""Who this machine is: its processor, caches, memory and limits."""
