"""Where tests find the project and each other."""

from pathlib import Path

TESTS = Path(__file__).parent
ROOT = TESTS.parent
