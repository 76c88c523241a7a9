"""GGUF files of a small Llama, written by the reference writer."""

import gguf
import numpy as np

D, VOCAB = 64, 96


def llama_tensors(n_layers=2, experts=0, tied=False):
    """Names and shapes (rows first) of a small Llama: 4 heads of 16, 2 for keys and values, feed-forward 128."""
    found = {"token_embd.weight": (VOCAB, D), "output_norm.weight": (D,)}
    if not tied:
        found["output.weight"] = (VOCAB, D)
    for index in range(n_layers):
        block = {"attn_norm": (D,), "ffn_norm": (D,), "attn_q": (64, D), "attn_k": (32, D), "attn_v": (32, D)}
        block["attn_output"] = (D, 64)
        if experts:
            block |= {"ffn_gate_inp": (experts, D), "ffn_gate_exps": (experts, 32, D), "ffn_up_exps": (experts, 32, D)}
            block["ffn_down_exps"] = (experts, D, 32)
        else:
            block |= {"ffn_gate": (128, D), "ffn_up": (128, D), "ffn_down": (D, 128)}
        found |= {f"blk.{index}.{role}.weight": shape for role, shape in block.items()}
    return found


def write(path, architecture="llama", experts=0, tied=False, quantised=(), leave_out=(), keys=None, extra=None):
    """A GGUF file of that model through the reference writer: matrices in f16 or, where named, in q8_0."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(2)
    writer.add_embedding_length(D)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_context_length(2048)
    writer.add_token_list([f"token {number}" for number in range(VOCAB)])
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(2)
    for key, value in (keys or {}).items():
        writer.add_uint32(key, value)
    for name, shape in {**llama_tensors(experts=experts, tied=tied), **(extra or {})}.items():
        if name in leave_out:
            continue
        values = np.zeros(shape, dtype=np.float32)
        if any(part in name for part in quantised):
            writer.add_tensor(
                name,
                gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0),
                raw_dtype=gguf.GGMLQuantizationType.Q8_0,
            )
        else:
            writer.add_tensor(name, values if len(shape) == 1 else values.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
