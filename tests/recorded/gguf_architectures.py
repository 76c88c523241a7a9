"""Records which tensors llama.cpp knows for each architecture of GGUF files: `python tests/recorded/gguf_architectures.py FOLDER`.

FOLDER is llama.cpp's source. Names come from src/llama-arch.cpp, what each architecture has from src/models/*.cpp (what its loader
creates) together with gguf-py/gguf/constants.py (what its converter may write). Written to simulator/families/gguf_tensors.json.
"""

import json
import re
import sys
from pathlib import Path

TARGET = Path(__file__).parents[2] / "simulator" / "families" / "gguf_tensors.json"
BLOCK = re.compile(r"(blk|dec\.blk)\.%d\.")


def table(text: str, name: str, prefix: str) -> dict[str, str]:
    """Constant: text, of one of the maps in llama-arch.cpp."""
    body = text[text.index(f"{name} = {{") :]
    return dict(re.findall(rf'\{{\s*{prefix}_(\w+),\s*"([^"]+)"', body[: body.index("\n};")]))


def created(folder: Path) -> dict[str, set[str]]:
    """Class: the tensors that its loader creates, those of the class it is derived from where it has none of its own."""
    found: dict[str, set[str]] = {}
    for file in sorted((folder / "src" / "models").glob("*.cpp")):
        text = file.read_text(encoding="utf-8")
        for match in re.finditer(r"^void llama_model_(\w+)::load_arch_tensors\(", text, re.MULTILINE):
            body = text[match.start() : text.index("\n}\n", match.start())]
            tensors = set(re.findall(r"LLM_TENSOR_(\w+)", body))
            if "create_tensor_qkv" in body:
                tensors |= {"ATTN_QKV", "ATTN_Q", "ATTN_K", "ATTN_V"}
            if "create_tensor_gate_up_exps" in body:
                tensors |= {"FFN_GATE_UP_EXPS", "FFN_GATE_EXPS", "FFN_UP_EXPS"}
            parent = re.search(r"llama_model_(\w+)::load_arch_tensors\(ml\);", body)
            found[match[1]] = tensors | (found.get(parent[1], set()) if parent else set())
    derived = (folder / "src" / "models" / "models.h").read_text(encoding="utf-8")
    for own, base in re.findall(r"struct llama_model_(\w+) : public llama_model_(\w+) ", derived):
        if base != "base" and own not in found:
            found[own] = found[base]
    return found


def convertible(folder: Path) -> dict[str, set[str]]:
    """Architecture: the tensors that gguf-py knows for it."""
    sys.path.insert(0, str(folder / "gguf-py"))
    from gguf import constants

    return {
        constants.MODEL_ARCH_NAMES[arch]: {
            constants.TENSOR_NAMES[each].replace("{bid}", "%d") for each in tensors if each in constants.TENSOR_NAMES
        }
        for arch, tensors in constants.MODEL_TENSORS.items()
    }


def main(folder: Path) -> None:
    """Writes the table."""
    text = (folder / "src" / "llama-arch.cpp").read_text(encoding="utf-8")
    architectures, names = table(text, "LLM_ARCH_NAMES", "LLM_ARCH"), table(text, "LLM_TENSOR_NAMES", "LLM_TENSOR")
    loads, converts = created(folder), convertible(folder)
    found = {}
    for constant, name in architectures.items():
        roles = {names[each] for each in loads.get(constant.lower(), ()) if each in names} | converts.get(name, set())
        if name not in ("(unknown)", "clip"):
            found[name] = " ".join(sorted({BLOCK.sub("", role) for role in roles}))
    source = "llama.cpp b11549: src/llama-arch.cpp, src/models, gguf-py/gguf/constants.py"
    TARGET.write_text(json.dumps({"source": source, "tensors": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
