"""What a user gave, as a model, its arithmetic and a source of weights."""

from __future__ import annotations

from pathlib import Path

from simulator.engine.drawn_source import DrawnSource
from simulator.engine.file_source import FileSource, check_vectors
from simulator.engine.recipes.recipe import Recipe, usual_recipe
from simulator.engine.recipes.supported import check_runs
from simulator.engine.recipes.table import recipe_of_file
from simulator.engine.slow_layers import SlowLayers
from simulator.engine.team import Team
from simulator.engine.tensors import Source
from simulator.errors import InputError
from simulator.importers.gguf import load_gguf
from simulator.importers.gguf_header import read_header
from simulator.importers.open import load_model
from simulator.spec.arguments import expect, expect_method, expect_path
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Model
from simulator.spec.quant import Weights
from simulator.spec.sparsity import Sparsity


def check_kinds(
    model: object, weights: object, texts: dict[str, object], sparsity: object, progress: object, **others: object
) -> None:
    """InputError unless each argument is of a kind that an engine takes; *others*: `team`, `slow` and `experts_in`."""
    expect_path("model", model, (Model,), "a name, a path or a Model")
    expect("weights", weights, (str, Weights), "the name of a format or mix, or a Weights")
    for name, text in texts.items():
        expect(name, text, (str, type(None)), "a text")
    expect("sparsity", sparsity, (str, Sparsity, type(None)), "a text, a Sparsity or None")
    expect("team", others["team"], (Team, type(None)), "a Team or None")
    expect("slow", others["slow"], (SlowLayers, type(None)), "SlowLayers or None")
    expect("experts_in", others["experts_in"], (str, Path, type(None)), "the path of a folder, or None")
    if progress is not None:
        expect_method("progress", progress, ("__call__",), "a function of two numbers, or None")


def open_source(
    given: str | Path | Model, weights: str | Weights, seed: int, convert: str | None
) -> tuple[Model, Recipe, Source]:
    """The model, its arithmetic, and where its weights come from; InputError if the engine cannot run it."""
    if not isinstance(given, Model):
        found = load_model(given)
        if found.path is not None:
            return _of_file(found.path, convert)
        given = found.model
    check_runs(given.name, given)
    drawn = DrawnSource(given, parse_weights(weights) if isinstance(weights, str) else weights, seed)
    return given, usual_recipe(given), drawn


def _of_file(path: Path, convert: str | None) -> tuple[Model, Recipe, Source]:
    header = read_header(path)
    missing = [note for note in header.notes if "not to run" in note]
    if missing:
        raise InputError(f"{path.parent / missing[0]}; fetch the rest of it")  # which begins with the name of the part
    model = load_gguf(path).model
    recipe = recipe_of_file(str(path), header.keys, model)
    tensors = tuple(tensor for tensor in header.tensors if not _predicts(tensor.name, model))
    source = FileSource(path, tensors, convert, dict(recipe.renamed))
    check_runs(model.name, model, recipe)
    check_vectors(source, model, recipe)
    return model, recipe, source


def _predicts(name: str, model: Model) -> bool:
    """Whether a tensor belongs to a block after the layers, which predicts further tokens and is read in no step."""
    number = name.removeprefix("blk.").partition(".")[0]
    return bool(model.mtp_blocks) and name.startswith("blk.") and number.isdecimal() and int(number) >= len(model.stack)
