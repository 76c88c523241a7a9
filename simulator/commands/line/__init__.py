"""The command line itself: its parser and options, what values are written like, and how a command ends."""
