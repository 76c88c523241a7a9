"""Counts what transformers builds for every decoder of text that it knows: writes `tests/importers/census.json.xz`.

    python tests/recorded/census.py [--types llama,qwen3] [--folder DIR]

It takes some minutes, needs transformers and torch (`pip install roofcast[families]`), no weights and no network. With `--folder` it
writes a file for each type and variant there instead, which also names every tensor with its shape; what this says of the
importer is printed by `census_coverage.py`.
"""

from __future__ import annotations

import argparse
import json
import lzma
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import transformers
from census_build import counted, read_back, records
from census_types import ADDED, Candidate, candidates, variants

TARGET = Path(__file__).parents[1] / "importers" / "census.json.xz"
KEPT = (
    "model_type",
    "variant",
    "is_wrapper",
    "config",
    "total_params",
    "params",
    "saved_buffer_values",
    "cache_by_layer",
)


def entries_of(each: Candidate) -> Iterator[dict[str, Any]]:
    """What is built for every variant of a type; one that does not build is named and left out."""
    for variant, saved in variants(each):
        try:
            config = read_back(each.config_class, saved)
            found = counted(each.model_type, each.build, config, each.is_wrapper)
        except Exception as error:  # noqa: BLE001 - what a library of hundreds of models raises is of every kind
            print(f"{each.model_type}.{variant}: {type(error).__name__}: {error}", file=sys.stderr)
            continue
        added = {"keys_added_to_the_class_default": sorted(ADDED[each.model_type])} if each.model_type in ADDED else {}
        yield {
            "model_type": each.model_type,
            "variant": variant,
            "library": f"transformers {transformers.__version__}",
            "is_wrapper": each.is_wrapper,
            "config": saved,
            **added,
            **found,
        }


def write_folder(folder: Path, found: list[dict[str, Any]]) -> None:
    """A file for each entry, those of wrappers in a folder of their own."""
    for entry in found:
        place = folder / "wrappers" if entry["is_wrapper"] else folder
        place.mkdir(parents=True, exist_ok=True)
        file = place / f"{entry['model_type']}.{entry['variant']}.json"
        file.write_text("\n".join(records(entry)) + "\n", encoding="utf-8")


def write_packed(found: list[dict[str, Any]]) -> None:
    """All entries in one file, without names of tensors."""
    kept = [{name: entry[name] for name in KEPT if name in entry} for entry in found]
    text = json.dumps({"library": f"transformers {transformers.__version__}", "entries": kept}, separators=(",", ":"))
    TARGET.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--types", default="", help="only these, as llama,qwen3; needs --folder")
    parser.add_argument("--folder", type=Path, help="where to write a file for each type and variant")
    options = parser.parse_args()
    if options.types and not options.folder:
        parser.error("a census of some types would replace that of all: give --folder")
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    found = []
    for each in candidates():
        if not options.types or each.model_type in options.types.split(","):
            entries = list(entries_of(each))
            print(each.model_type, *(entry["variant"] for entry in entries), flush=True)
            found += entries
    if options.folder:
        write_folder(options.folder, found)
    else:
        write_packed(found)


if __name__ == "__main__":
    main()
