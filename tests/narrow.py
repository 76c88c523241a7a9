"""Models of the shipped kinds, narrow enough to be run."""

from simulator.spec.model import Model

_MIXERS = {  # widths by kind; those of attention keep how many queries share a key
    "gated_delta_net": {"n_k_heads": 2, "n_v_heads": 4, "k_dim": 32, "v_dim": 32},
    "mamba2": {"n_heads": 4, "head_dim": 64, "n_groups": 2, "d_state": 32},
    "short_conv": {"channels": 256},
    "latent": {"n_heads": 4, "kv_rank": 256, "qk_nope_dim": 256, "qk_rope_dim": 32, "v_dim": 256},
}


def _mixer(mixer):
    """A mixer of the same kind, of small widths."""
    if mixer is None:
        return None
    if mixer.kind != "grouped_query":
        through = {"q_rank": 256} if getattr(mixer, "q_rank", None) else {}
        return mixer.model_dump() | _MIXERS[mixer.kind] | through
    widths = {"n_heads": 2 * mixer.queries_per_kv, "n_kv_heads": 2, "head_dim": 128, "v_head_dim": None}
    return mixer.model_dump() | widths


def narrowed(model):
    """A model of the same kinds of layers, every width a few hundred: first, middle and last of its stack."""
    stack, layers = model.stack, []
    for layer in (stack[0], stack[len(stack) // 2], stack[-1]):
        data = layer.model_dump()
        data["attention"], ffn = _mixer(layer.attention), data["ffn"] or {}
        for name, width in (("d_ff", 512), ("d_expert", 256), ("d_shared", 256)):
            if ffn.get(name):
                ffn[name] = width
        if "n_experts" in ffn:
            ffn |= {"n_experts": 16, "n_active": min(4, ffn["n_active"])}
        layers.append(data)
    return Model.model_validate(model.model_dump() | {"d_model": 256, "vocab": 512, "layers": layers})
