"""Where models lie on this device, and what a file is that is no model."""
