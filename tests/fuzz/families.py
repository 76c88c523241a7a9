"""The families of inputs: a seed for each, and how its mistakes are made."""

import json
import random
import struct
from collections.abc import Callable
from pathlib import Path

import amount

from fuzz.attacks import SPECIAL, special
from fuzz.case import SIMULATE, Case
from fuzz.gguf_drafts import (
    change_key,
    change_tensor,
    damaged_header,
    gguf_keys,
    gguf_tensors,
    mutated_gguf,
    written_gguf,
)
from fuzz.mutations import BYTE_MUTATIONS, mutated_text
from fuzz.seeds import (
    CONFIGS,
    DENSITY,
    DENSITY_CSV,
    DENSITY_SAMPLES,
    DEVICE,
    MODEL,
    ROUTING_COUNTS,
    ROUTING_CSV,
    ROUTING_TOKENS,
    RUNTIME,
    SPARSITY,
    TRACE_CSV,
)
from fuzz.values import LENGTHS, OWN_WORDS, WORDS


def text_case(rng: random.Random, number: int, seed: str, kind: str, name: str, before: tuple, after: tuple) -> Case:
    """A mutated text file *name* in a command, which shows a table, JSON or the file itself in turn."""
    data = seed.encode() if number == 0 else mutated_text(rng, seed, kind)
    arguments = ("simulate", *before, name, *after, *SIMULATE)
    if number % 3 == 1:
        arguments = (*arguments, "--json", "-")
    if number % 3 == 2 and len(before) < 2:
        arguments = ("show", name)
    return Case(f"{name} {number}", arguments, {name: data})


def device_case(rng: random.Random, number: int, folder: Path) -> Case:
    """A device file."""
    return text_case(rng, number, DEVICE, "yaml", "case.yaml", ("model.yaml",), ("--runtime", "runtime.yaml"))


def model_case(rng: random.Random, number: int, folder: Path) -> Case:
    """A model file."""
    return text_case(rng, number, MODEL, "yaml", "case.yaml", (), ("device.yaml", "--runtime", "runtime.yaml"))


def runtime_case(rng: random.Random, number: int, folder: Path) -> Case:
    """A runtime file."""
    case = text_case(rng, number, RUNTIME, "yaml", "case.yaml", ("model.yaml",), ())
    if case.arguments[0] == "simulate":
        case = Case(case.name, ("simulate", "model.yaml", "device.yaml", "--runtime", *case.arguments[2:]), case.files)
    return case


def option_case(option: str, name: str, kind: str, *seeds: str) -> Callable[[random.Random, int, Path], Case]:
    """Files given after *option*."""

    def case(rng: random.Random, number: int, folder: Path) -> Case:
        before = ("experts.yaml", "device.yaml", "--runtime", "runtime.yaml", option)
        return text_case(rng, number, seeds[number % len(seeds)], kind, name, before, ())

    return case


def config_case(rng: random.Random, number: int, folder: Path) -> Case:
    """A Hugging Face config.json of one of several architectures."""
    seed = json.dumps(CONFIGS[number % len(CONFIGS)], indent=1)
    after = ("device.yaml", "--runtime", "runtime.yaml")
    return text_case(rng, number // len(CONFIGS), seed, "json", "config.json", (), after)


CHECKPOINTS = sorted((Path(__file__).parents[1] / "importers" / "quantised" / "checkpoints").iterdir())


def safetensors_case(rng: random.Random, number: int, folder: Path) -> Case:
    """A good config with a wrong header of weights beside it."""
    seed = CHECKPOINTS[0]
    good = (seed / "model.safetensors").read_bytes()[8:]
    header = good if number == 0 else mutated_text(rng, good.decode(), "json")
    data = struct.pack("<Q", len(header)) + header
    if number and rng.random() < 0.2:
        data = struct.pack("<Q", rng.choice(LENGTHS)) + header
    if number and rng.random() < 0.1:
        data = rng.choice(BYTE_MUTATIONS)(rng, data)
    files = {"config.json": (seed / "config.json").read_bytes(), "model.safetensors": data}
    return Case(f"safetensors {number}", ("simulate", ".", "device.yaml", *SIMULATE), files)


def checkpoint_case(rng: random.Random, number: int, folder: Path) -> Case:
    """A quantised checkpoint of one of several libraries: its statement, its file's header or an index in its place is wrong."""
    seed = CHECKPOINTS[number % len(CHECKPOINTS)]
    config, header = (seed / "config.json").read_text(), (seed / "model.safetensors").read_bytes()[8:].decode()
    name, text = rng.choice(
        [("config.json", config), ("model.safetensors", header), ("model.safetensors.index.json", "")]
    )
    if name.endswith("index.json"):
        names = [each for each in json.loads(header) if each != "__metadata__"]
        text = json.dumps({"metadata": {"total_size": 200_000}, "weight_map": dict.fromkeys(names, "a.safetensors")})
    data = text.encode() if number == 0 else mutated_text(rng, text, "json")
    data = struct.pack("<Q", len(data)) + data if name == "model.safetensors" else data
    return Case(
        f"{name} {number}", ("simulate", ".", "device.yaml", *SIMULATE), {"config.json": config.encode(), name: data}
    )


def gguf_case(rng: random.Random, number: int, folder: Path) -> Case:
    """A GGUF file."""
    path = folder / "draft.gguf"
    data = mutated_gguf(rng, path) if number else written_gguf(path, gguf_keys(2, 8), gguf_tensors(2, 8))
    arguments = ("show", "case.gguf") if number % 3 == 2 else ("simulate", "case.gguf", "device.yaml", *SIMULATE)
    return Case(f"gguf {number}", arguments, {"case.gguf": data})


def split_case(rng: random.Random, number: int, folder: Path) -> Case:
    """Two parts of a GGUF file, of which one is wrong."""
    tensors, parts = list(gguf_tensors(2, 0).items()), []
    for part in range(2):
        keys = {"split.no": part, "split.count": 2, **(gguf_keys(2, 0) if part == 0 else {})}
        chosen = dict(tensors[:9] if part == 0 else tensors[9:])
        if number and rng.random() < 0.3:
            rng.choice([change_key, change_tensor])(rng, keys, chosen)
        parts.append(written_gguf(folder / "draft.gguf", keys, chosen))
    if number:
        wrong = rng.randrange(2)
        parts[wrong] = damaged_header(rng, parts[wrong], dict(tensors[:9] if wrong == 0 else tensors[9:]))
    names = [f"case-0000{part}-of-00002.gguf" for part in (1, 2)]
    files = dict(zip(names, parts, strict=True))
    if number and rng.random() < 0.1:
        del files[names[1]]
    return Case(f"split {number}", ("simulate", names[0], "device.yaml", *SIMULATE), files)


def option_words(rng: random.Random, number: int, folder: Path) -> Case:
    """Words after the options, and in the place of names."""
    words = ["model.yaml", "device.yaml"]
    if number:
        for option in rng.sample(sorted(OWN_WORDS), rng.randint(1, 3)):
            words += [f"--{option}={rng.choice(WORDS if rng.random() < 0.3 else OWN_WORDS[option])}"]
        if rng.random() < 0.15:
            words[rng.randrange(2)] = rng.choice(WORDS)
    return Case(f"words {number}", ("simulate", *words))


FAMILIES: dict[str, tuple[Callable[[random.Random, int, Path], Case], int]] = {
    "devices": (device_case, amount.of(40)),
    "models": (model_case, amount.of(40)),
    "runtimes": (runtime_case, amount.of(25)),
    "sparsity": (option_case("--sparsity", "case.yaml", "yaml", SPARSITY), amount.of(10)),
    "density": (option_case("--density", "case.yaml", "yaml", DENSITY, DENSITY_SAMPLES), amount.of(10)),
    "density-csv": (option_case("--density", "case.csv", "csv", DENSITY_CSV), amount.of(5)),
    "routing-json": (option_case("--routing", "case.json", "json", ROUTING_COUNTS, ROUTING_TOKENS), amount.of(15)),
    "routing-csv": (option_case("--routing", "case.csv", "csv", ROUTING_CSV, TRACE_CSV), amount.of(15)),
    "configs": (config_case, amount.of(45)),
    "safetensors": (safetensors_case, amount.of(15)),
    "checkpoints": (checkpoint_case, amount.of(20)),
    "gguf": (gguf_case, amount.of(35)),
    "split-gguf": (split_case, amount.of(10)),
    "words": (option_words, amount.of(25)),
    "attacks": (special, len(SPECIAL)),
}
