"""One input: files, and what reads them."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """Files to write and the command that reads them."""

    name: str
    arguments: tuple[str, ...]
    files: dict[str, bytes] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)  # files grown to so many bytes, nothing written in between


@dataclass(frozen=True)
class Input:
    """Files below the working folder and what is read: a model, a benchmark, a device, ... by *given*."""

    kind: str
    given: str
    files: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)  # files grown to so many bytes, nothing written in between


SIMULATE = ("--batch", "1,3", "--context", "0,100")
