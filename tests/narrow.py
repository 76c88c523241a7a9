"""Models of the shipped kinds, narrow enough to be run."""

from simulator.spec.model import Model


def narrowed(model):
    """A model of the same kinds of layers, every width a few hundred: first, middle and last of its stack."""
    stack, layers = model.stack, []
    for layer in (stack[0], stack[len(stack) // 2], stack[-1]):
        data = layer.model_dump()
        attention, ffn = data["attention"], data["ffn"]
        attention |= {"n_heads": 2 * layer.attention.queries_per_kv, "n_kv_heads": 2, "head_dim": 128}
        attention |= {"v_head_dim": None}
        for name, width in (("d_ff", 512), ("d_expert", 256), ("d_shared", 256)):
            if ffn.get(name):
                ffn[name] = width
        if "n_experts" in ffn:
            ffn |= {"n_experts": 16, "n_active": min(4, ffn["n_active"])}
        layers.append(data)
    return Model.model_validate(model.model_dump() | {"d_model": 256, "vocab": 512, "layers": layers})
