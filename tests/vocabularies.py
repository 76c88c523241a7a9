"""Small GGUF files with vocabularies of byte pairs and of sentence pieces."""

import gguf
import numpy as np

LETTERS = [chr(byte) for byte in range(33, 127)] + ["\u0120"]  # the last one stands for a space


def pairs_file(path, change=None, **keys):
    """A byte-pair vocabulary with two merges; *change* edits what is written, *keys* add to it."""
    fields = {
        "tokens": [*LETTERS, "th", "the", "<|end|>"],
        "types": [1] * len(LETTERS) + [1, 1, 3],
        "merges": ["t h", "q zz", "th e", "damaged"],  # two can never be made
        "model": "gpt2",
        "pre": "gpt-2",
        "eos": len(LETTERS) + 2,
    }
    fields |= change or {}
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model(fields["model"])
    if fields["pre"]:
        writer.add_tokenizer_pre(fields["pre"])
    if fields["tokens"]:
        writer.add_token_list(fields["tokens"])
    if fields["types"]:
        writer.add_token_types(fields["types"])
    if fields["merges"]:
        writer.add_token_merges(fields["merges"])
    if "scores" in fields:
        writer.add_token_scores(fields["scores"])
    writer.add_eos_token_id(fields["eos"])
    for name, value in keys.items():
        getattr(writer, name)(value)
    writer.add_tensor("token_embd.weight", np.zeros((4, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


def pieces_file(path, names, types, scores=None, **keys):
    """A SentencePiece vocabulary: <unk>, all bytes, a space (token 257) and, from 258 on, *names*."""
    tokens = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", *names]
    change = {
        "tokens": tokens,
        "types": [2] + [6] * 256 + [1, *types],
        "scores": [0.0] * 258 + (scores or [0.0] * len(names)),
        "merges": None,
        "model": "llama",
        "pre": None,
        "eos": tokens.index("</s>"),
    }
    return pairs_file(path, change, add_bos_token_id=tokens.index("<s>"), **keys)
