"""What llama.cpp calls the architecture of a shipped model, which is the first word of its labels: `deepseek2` of GLM-4.7 Flash.

Names as in src/llama-arch.cpp of llama.cpp (b11549), by the classes that its conversion/ maps to them. Models that no release of it
can convert have none.
"""

from __future__ import annotations

import re
from functools import lru_cache

# Shipped names that begin so, the first that fits: the architectures that files of them have.
_BY_NAME = (
    (r"afm-", "arcee"),
    (r"apertus-", "apertus"),
    (r"aya-expanse-", "command-r"),
    (r"bitnet-2b-4t", "bitnet bitnet-25 bitnet-b1.58"),
    (r"bitnet-", "bitnet"),
    (r"chatglm3-", "chatglm"),
    (r"codellama-|codestral-|deepseek-coder-33b|falcon3-|internlm3-|openllama-|smollm2-|tinyllama-|yi-", "llama"),
    (r"deepseek-v4-", "deepseek4"),
    (r"deepseek-v[23]|glm-4\.7-flash|kimi-k2", "deepseek2"),
    (r"dots\.llm1", "dots1"),
    (r"ernie-4\.5-", "ernie4_5-moe"),
    (r"exaone-3\.5-", "exaone"),
    (r"falcon-", "falcon"),
    (r"gemma-2-", "gemma2"),
    (r"gemma-3-", "gemma3"),
    (r"gemma-3n-", "gemma3n"),
    (r"gemma-4-", "gemma4"),
    (r"glm-4-9b", "chatglm glm4"),
    (r"glm-4-", "glm4"),
    (r"glm-4\.5-", "glm4moe"),
    (r"glm-5", "glm-dsa"),
    (r"gpt-j-", "gptj"),
    (r"gpt-oss-", "gpt-oss"),
    (r"granite-3\.1-\d+b-a", "granitemoe"),
    (r"granite-4\.0-h-", "granitehybrid"),
    (r"granite-", "granite"),
    (r"hunyuan-a13b", "hunyuan-moe"),
    (r"internlm2", "internlm2"),
    (r"lfm2(\.5)?-\d+b-a", "lfm2moe"),
    (r"lfm2", "lfm2"),
    (r"llama-4-", "llama4"),
    (r"llama-", "llama"),
    (r"minicpm4-", "minicpm"),
    (r"minimax-m2", "minimax-m2"),
    (r"ministral-3-", "mistral3"),
    (r"ministral-8b|mistral-|mixtral-", "llama"),
    (r"mpt-", "mpt"),
    (r"nemotron-3-.*-a\d", "nemotron_h_moe"),
    (r"nemotron-(3-nano|h)-", "nemotron_h"),
    (r"nemotron-super-", "deci"),
    (r"olmo-2-", "olmo2"),
    (r"olmoe-", "olmoe"),
    (r"phi-3\.5-moe", "phimoe"),
    (r"phi-", "phi3"),
    (r"qwen1\.5-moe-", "qwen2moe"),
    (r"qwen(1\.5|2\.5)-", "qwen2"),
    (r"qwen3-next-", "qwen3next"),
    (r"qwen3-.*-a\d", "qwen3moe"),
    (r"qwen3-", "qwen3"),
    (r"qwen3\.[58]-.*-a\d", "qwen35moe"),
    (r"qwen3\.[58]-", "qwen35"),
    (r"smallthinker-", "smallthinker"),
    (r"smollm3-", "smollm3"),
)
_PATTERNS = tuple((re.compile(pattern), names.split()) for pattern, names in _BY_NAME)


@lru_cache(maxsize=1024)
def architectures(name: str) -> frozenset[str]:
    """The architectures that llama.cpp gives a shipped model, in plain letters; empty where it has none."""
    found = next((names for pattern, names in _PATTERNS if pattern.match(name)), [])
    return frozenset(map(plain, found))


def plain(architecture: str) -> str:
    """An architecture's name without signs, which programs write differently: Ollama has `gptoss`."""
    return re.sub(r"[^a-z0-9]", "", architecture.lower())


@lru_cache(maxsize=1)
def known() -> frozenset[str]:
    """Every architecture that a shipped model has."""
    return frozenset(plain(name) for _, names in _PATTERNS for name in names)
