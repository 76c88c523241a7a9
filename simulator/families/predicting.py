"""How many blocks that predict further tokens a config.json states: multi-token prediction, which decoding by the token leaves out."""

from __future__ import annotations

from simulator.families.config import Config

# transformers 5.24.0 (num_mtp_layers is its other name for the first), Qwen3.5's configs, and MiniMax-M2's.
_KEYS = ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_layers", "num_mtp_modules")
MAX_BLOCKS = 100


def blocks_stated(config: Config) -> int | None:
    """As the file states, or else its class; None where neither does, or where it is no count."""
    stated = config.get(*_KEYS)
    is_count = isinstance(stated, int) and not isinstance(stated, bool) and 0 <= stated <= MAX_BLOCKS
    return stated if is_count else None
