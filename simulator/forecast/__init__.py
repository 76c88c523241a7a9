"""What a decode step reads and computes, and how long a machine takes over it."""
