"""What child processes change of the code that they run: only what is there, or a test would go on without its change."""

from typing import Any


def change(target: object, **values: Any) -> None:
    """Set attributes of a module or a class that has them."""
    for name, value in values.items():
        if not hasattr(target, name):
            raise AttributeError(f"{target} has no {name} that could be changed")
        setattr(target, name, value)
