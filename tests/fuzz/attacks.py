"""What no chance mutation finds: attacks on parsers, and files far too large."""

import json
import random
import re
import struct
from pathlib import Path

from fuzz.case import Case
from fuzz.gguf_drafts import bare_array, bare_gguf, bare_text
from fuzz.seeds import CONFIGS, DEVICE, EXPERTS, MODEL, ROUTING_CSV, RUNTIME
from fuzz.values import HUGE


def special(rng: random.Random, number: int, folder: Path) -> Case:
    """What no chance mutation finds: attacks on parsers, and files far too large."""
    name, file, data = SPECIAL[number]
    commands = {
        "device": ("simulate", "model.yaml", "case.yaml"),
        "model": ("simulate", "case.yaml", "device.yaml"),
        "runtime": ("simulate", "model.yaml", "device.yaml", "--runtime", "case.yaml"),
        "zipf": ("simulate", "case.yaml", "device.yaml", "--routing", "zipf:1.2"),
        "formats": ("simulate", "case.yaml", "device.yaml", "--batch", "1..1000", "--weights", FORMATS),
        "switch": ("simulate", "case.yaml", "device.yaml", "--routing", "switch:100", "--batch", "1000000"),
        "routing.csv": ("simulate", "experts.yaml", "device.yaml", "--routing", "routing.csv"),
        "routing.json": ("simulate", "experts.yaml", "device.yaml", "--routing", "routing.json"),
        "density.csv": ("simulate", "experts.yaml", "device.yaml", "--density", "density.csv"),
        "density.yaml": ("simulate", "experts.yaml", "device.yaml", "--density", "density.yaml"),
        "config.json": ("simulate", ".", "device.yaml"),
        "model.safetensors": ("simulate", ".", "device.yaml"),
        "case.gguf": ("simulate", "case.gguf", "device.yaml"),
    }
    written = file if "." in file else "case.yaml"
    data, size = data if isinstance(data, tuple) else (data, 0)
    files = {"config.json": json.dumps(CONFIGS[0]).encode(), written: data.encode() if isinstance(data, str) else data}
    return Case(name, commands[file], files, {written: size} if size else {})


FORMATS = ",".join(f"{1 + number / 100:.2f}bpw" for number in range(100))


def layers(*lines: str) -> str:
    """A model of these layers."""
    return "name: m\nd_model: 256\nvocab: 1000\nlayers:\n" + "".join(f"  - {line}\n" for line in lines)


_HEAD = "attention: {kind: grouped_query, n_heads: 4, n_kv_heads: 2, head_dim: 64}"
_BYTES = struct.pack("<IQ", 0, 4096) + b"\1" * 4096  # an array of bytes, as it stands in another
SPECIAL = [
    ("a good device", "device", DEVICE),
    ("nothing", "device", ""),
    ("only a comment", "device", "# later\n"),
    ("an empty document", "device", "---\n"),
    ("two documents", "device", DEVICE + "---\n" + DEVICE),
    ("a list", "device", "- a\n- b\n"),
    ("a word", "device", "hello"),
    ("zeros", "device", b"\0" * 5000),
    ("every byte", "device", bytes(range(256)) * 10),
    ("half a character", "device", DEVICE.encode() + b"\xe2\x82"),
    ("a surrogate", "device", b"name: \xed\xa0\x80\n"),
    ("an archive", "device", b"PK\x03\x04" + bytes(range(256))),
    ("aliases of aliases", "device", "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(30))),
    ("a value inside itself", "device", "a: &a [*a]\n"),
    ("merged fields", "device", "<<: {name: x}\n" + DEVICE),
    *((f"a nest of {mark!r}", "device", mark * 60_000) for mark in ("[", "{", "- ", "-  ", "? ", "- ? ", "[? ", "[{a: ", "!x [", "&a ")),
    ("a nest of fields", "device", "".join(" " * depth + "a:\n" for depth in range(600))),
    ("a field named by a list", "device", "? [a]\n: 5\n"),
    ("a field named by nothing", "device", DEVICE + "~: 5\n"),
    ("a long field", "device", DEVICE + "k" * 1000 + ": 5\n"),
    ("fields of colour", "device", DEVICE + '"\\e[31m\\nred": 5\n'),
    ("four million numbers", "device", DEVICE + "links: [" + "1," * 2_000_000 + "]\n"),
    ("a million items", "device", DEVICE + "links:\n" + "- a\n" * 1_000_000),
    ("many wrong peaks", "device", DEVICE.replace("{f16: 0.3072", "{" + "".join(f"k{n}: x, " for n in range(15_000)))),
    ("many wrong threads", "device", DEVICE.replace("{1: 9.26", "{" + "".join(f"k{n}: x, " for n in range(15_000)))),
    ("many sources", "device", DEVICE.replace("{page:", "{" + "".join(f"k{n}: [], " for n in range(15_000)) + "page:")),
    ("many unknown fields", "device", DEVICE + "".join(f"field{n}: 1\n" for n in range(15_000))),
    ("a tiny cache", "device", DEVICE.replace("capacity_mib: {value: 2,", "capacity_mib: {value: 1.0e-320,")),
    ("threads past counting", "device", DEVICE.replace("{1: 9.26", "{" + HUGE + ": 9.26")),
    ("only threads past counting", "device", re.sub(r"by_threads: {.*}", "by_threads: {" + HUGE + ": 6}", DEVICE)),
    ("the endless device", "device", b""),
    ("a good model", "model", MODEL),
    ("nothing to read", "model", "has_head: false\nfinal_norm: false\n" + layers("{norms: 0}")),
    ("norms alone", "model", "has_head: false\n" + layers("{norms: 1}")),
    ("no layers", "model", layers().replace("layers:", "layers: []")),
    ("too many layers", "model", layers("repeat: 2000\n    layers: [{count: 2000}]")),
    ("as many layers as may be", "model", layers(f"count: 2000\n    {_HEAD}")),
    ("as many different layers as may be", "model", layers(*(f"ffn: {{kind: gated, d_ff: {n}}}" for n in range(1, 2001)))),
    ("the widest model", "model", layers("ffn: {kind: gated, d_ff: 10000000}").replace("256", "10000000")),
    ("2000 wrong layers", "model", layers(*["ffn: {kind: gated, d_f: 1}"] * 2000)),
    ("experts past counting", "model", layers("ffn: {kind: experts, n_experts: 10000000, n_active: 5000000, d_expert: 1}")),
    ("popular experts", "zipf", EXPERTS.replace("n_experts: 8, n_active: 2", "n_experts: 20000, n_active: 10000")),
    ("popular experts, other in each layer", "zipf",
     layers(*(f"ffn: {{kind: experts, n_experts: {9000 + n}, n_active: 500, d_expert: 1}}" for n in range(100)))),
    (
        "popular experts, other in each of 1000 layers",
        "zipf",
        layers(*(f"ffn: {{kind: experts, n_experts: {19_000 + n}, n_active: 500, d_expert: 1}}" for n in range(1000))),
    ),
    ("many formats", "formats", EXPERTS),
    ("a million tokens", "switch", EXPERTS),
    ("a good runtime", "runtime", RUNTIME),
    ("a share of nothing", "runtime", RUNTIME.replace("0.9,", "1.0e-200,").replace("0.8", "1.0e-200")),
    *((f"a check of {text}", "runtime", re.sub(r"check: .*", f"check: '{text}'", RUNTIME, count=1))
      for text in ("{mdoel}", "{", "}", "{0}", "{}", "{model.x}", "{model[0]}", "{model!r}", "{model:>1000000000}", "{context:{model}}")),
    ("a good histogram", "routing.csv", ROUTING_CSV),
    ("a wide column", "routing.csv", "a" * 200_000),
    ("a wide value", "routing.csv", "expert,count\n0," + "1" * 200_000),
    ("an open quote", "routing.csv", 'expert,count\n"0,1\n' + "1,1\n" * 100_000),
    ("700,000 choices", "routing.csv", "token,layer,expert\n" + "1,1,0\n" * 690_000),
    ("far layers and experts", "routing.csv", "token,layer,expert\n" + "".join(f"0,{n},{99_000 + n}\n" for n in range(99))),
    ("counts past counting", "routing.json", '{"counts": [' + ",".join([HUGE] * 8) + "]}"),
    ("counts too far apart", "routing.json", '{"counts": [1e17, 1e-310, 1e-310, 1e-310, 1e-310, 1e-310, 1e-310, 1e-310]}'),
    ("a million counts", "routing.json", '{"counts": [' + ",".join(["1"] * 999_000) + "]}"),
    ("a million choices", "routing.json", '{"tokens": [[[' + ",".join(["1"] * 999_000) + "]]]}"),
    ("many tokens", "routing.json", '{"tokens": [' + ",".join(["[[0,1]]"] * 480_000) + "]}"),
    ("a nest", "routing.json", "[" * 100_000),
    ("a nest of objects", "routing.json", '{"a":' * 100_000),
    ("a long number", "routing.json", '{"counts": [' + "9" * 5000 + "]}"),
    ("two million samples", "density.csv", "active_share\n" + "1\n" * 1_900_000),
    ("a wide column of samples", "density.csv", "a" * 200_000),
    ("a tiny beta", "density.yaml", "kind: beta\nalpha: 1.0e-300\nbeta: 1.0e-300\n"),
    ("many samples", "density.yaml", "kind: samples\nsamples: [" + "0.5," * 60_000 + "]\n"),
    ("many wrong samples", "density.yaml", "kind: samples\nsamples: [" + "x," * 60_000 + "]\n"),
    ("a type that is a list", "config.json", '{"model_type": []}'),
    ("a type that is an object", "config.json", '{"model_type": {"a": 1}}'),
    ("a text model that is a list", "config.json", '{"model_type": "gemma3", "text_config": []}'),
    ("a name that is no text", "config.json", json.dumps({**CONFIGS[0], "_name_or_path": "\ud800"})),
    ("2000 layers", "config.json", json.dumps({**CONFIGS[0], "num_hidden_layers": 2000})),
    ("2000 wrong layers of a config", "config.json", json.dumps({**CONFIGS[0], "num_hidden_layers": 2000, "head_dim": 10**9})),
    ("a deep value", "config.json", json.dumps(CONFIGS[0])[:-1] + ', "hidden_size": ' + "[" * 900 + "]" * 900 + "}"),
    ("no end to the offsets", "model.safetensors", b'\x36\0\0\0\0\0\0\0{"a": {"dtype": "BF16", "data_offsets": [0, 1e999]}}   '),
    ("a type of weights that is a list", "model.safetensors", b'\x2e\0\0\0\0\0\0\0{"a": {"dtype": [], "data_offsets": [0, 1]}}    '),
    ("a nest of weights", "model.safetensors", struct.pack("<Q", 100_000) + b"[" * 100_000),
    ("a header of 60 MB", "model.safetensors", struct.pack("<Q", 60_000_010) + b'{"a":[' + b"[]," * 20_000_000 + b"0]}"),
    ("no magic", "case.gguf", b"ggml" + b"\0" * 100),
    ("a short file", "case.gguf", b"GGUF\3\0\0\0"),
    ("an empty file", "case.gguf", b""),
    ("text", "case.gguf", DEVICE),
    ("more keys than bytes", "case.gguf", b"GGUF" + struct.pack("<IQQ", 3, 0, 2**63) + b"\0" * 100),
    ("more tensors than bytes", "case.gguf", bare_gguf(n_tensors=100_000) + b"\0" * 100),
    ("a nest of arrays", "case.gguf", bare_gguf(bare_text("a") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 10_000)),
    ("arrays of arrays", "case.gguf", bare_gguf(bare_array("a", 9, 4096, _BYTES * 4096))),
    ("thousands of arrays", "case.gguf", bare_gguf(*(bare_array(f"k{n}", 0, 4096, b"\1" * 4096) for n in range(4000)))),
    ("many keys", "case.gguf", bare_gguf(*(bare_text(f"k{n}") + struct.pack("<II", 4, 1) for n in range(99_000)))),
    ("many tensors", "case.gguf", bare_gguf(n_tensors=150_000)
     + b"".join(bare_text(f"t{n}") + struct.pack("<IQIQ", 1, 1, 0, 0) for n in range(150_000))),
    ("strings without end", "case.gguf", (bare_gguf(bare_array("a", 8, 2**26)), 2**30)),
    ("a string of 0.8 GB", "case.gguf", (bare_gguf(bare_text("a") + struct.pack("<IQ", 8, 800 * 2**20)), 900 * 2**20)),
    ("a terabyte", "case.gguf", (bare_gguf(bare_array("a", 8, 2**36)), 2**40)),
]  # fmt: skip
