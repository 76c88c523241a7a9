"""Which model and formats llama.cpp means by `llama 8B Q4_K - Medium`, a number of weights and a size."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from simulator.errors import InputError
from simulator.importers.architectures_of_labels import architectures, known, plain
from simulator.importers.open import load_model, starts_with_gguf
from simulator.importers.records import Unusable
from simulator.importers.sizes import Choice, suits, with_formats
from simulator.spec.library import is_file, names, shelf
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Loaded
from simulator.spec.recipes import RECIPES

NEAR = 0.005  # parameter counts of one model differ by less: rotary factors are counted or not
EXACT = 1e-5  # llama.cpp counts tensors such as rope_freqs that no spec has
SAME_FAMILY = 0.05  # a model that the user names: files may hold layers for multi-token prediction
# Architectures in plain letters whose files may count such blocks among their own (conversion/ of llama.cpp, b11549).
_WITH_BLOCKS = frozenset({"glm4moe", "glmdsa", "qwen3next", "qwen35", "qwen35moe", "deepseek2"})
NAME_IT = "give --model FILE.gguf, or a name from roofcast list models"

# The words of llama_model_ftype_name, in llama.cpp and in ik_llama.cpp, which has IQ4_KS, IQ2_KT and Q4_K_R4, too.
_MIX = re.compile(
    r"(?<![a-z0-9])(I?Q\d_K_[SML]|I?Q\d_K(?:SS|S|L|T)?(?:_R\d)?|I?Q\d_(?:[01]|XXS|XS|S|M|NL)(?:_R\d)?|TQ\d_0|MXFP4|NVFP4|BF16|F16|F32)"
    r"(?!\w)( mix)?(?: - (Small|Medium|Large))?",
    re.IGNORECASE,
)
_DYNAMIC = re.compile(r"(?<![a-z0-9])(UD-I?Q\d_[A-Z0-9_]+?)(?=-\d|\.gguf|$)", re.IGNORECASE)
_ENDING = {"small": "_s", "medium": "_m", "large": "_l"}
_IRREGULAR = {"q2_k_m": "q2_k", "iq3_s mix": "iq3_m", "mxfp4": "mxfp4_moe"}


@dataclass(frozen=True)
class Facts:
    """What a benchmark says of its model; empty or None where it says nothing."""

    file: str
    label: str  # architecture, size and mix: `llama 8B Q4_K - Medium`
    n_params: float | None
    doubt: float  # the count is known to within so many
    nbytes: float | None


@lru_cache(maxsize=1024)
def choose(facts: Facts, model: Loaded | None = None, weights: str | None = None) -> Choice | str:
    """The model and formats of a run, *model* and *weights* where the user named them; else the reason why there are none."""
    try:
        loaded = _checked(model, facts) if model else _from_file(facts) or _from_shelf(facts)
        return _in_formats(loaded, weights, facts) if weights else _with_formats(loaded, facts)
    except Unusable as reason:
        return str(reason)


def _checked(model: Loaded, facts: Facts) -> Loaded:
    total = model.model.total_params
    if facts.n_params and abs(facts.n_params / total - 1) > SAME_FAMILY:
        raise Unusable(f"of a model with another number of weights than {model.model.name}")
    return model


def _from_file(facts: Facts) -> Loaded | None:
    """The GGUF that was measured, where it is at hand and still what it was."""
    path = Path(facts.file)
    if not facts.file or not is_file(path) or not starts_with_gguf(path):
        return None
    try:
        loaded = load_model(path)
    except InputError:
        return None
    is_same = facts.n_params is None or abs(facts.n_params / loaded.model.total_params - 1) <= NEAR
    return loaded if is_same else None


def _from_shelf(facts: Facts) -> Loaded:
    """The shipped model with that many weights whose name fits best."""
    if not facts.n_params:
        raise Unusable(f"the source does not say which model ran: {NAME_IT}")
    near = [each for each in _shelf() if _distance(each, facts.n_params) <= NEAR]
    known_to = max(facts.doubt, EXACT * facts.n_params)
    exact = [each for each in near if _distance(each, facts.n_params) * facts.n_params <= known_to]
    is_certain = len(exact) == 1 and facts.doubt <= EXACT * facts.n_params
    of_family = [each for each in near if _is_of_family(each.model.name, facts)]
    candidates = exact if is_certain else [each for each in of_family if each in exact] or of_family
    candidates = candidates or _with_more_blocks(facts)
    if not candidates:
        raise Unusable(f"no shipped model has the name and the number of weights: {NAME_IT}")
    fits = [_fit(each.model.name, facts) for each in candidates]
    best = [each for each, fit in zip(candidates, fits, strict=True) if fit == max(fits)]
    if len(best) > 1:
        raise Unusable(f"may be {' or '.join(each.model.name for each in best[:3])}: {NAME_IT}")
    return best[0]


def _distance(loaded: Loaded, n_params: float) -> float:
    """How far a count is from a model's, or from that of its files, as a share."""
    own = {loaded.model.total_params, loaded.model.params_of_file}
    return min(abs(n_params - each) / each for each in own)


def _with_more_blocks(facts: Facts) -> list[Loaded]:
    """Models of an architecture whose files may hold blocks for multi-token prediction, which nobody counts here."""
    word = _architecture(facts)
    return [
        each
        for each in _shelf()
        if word in _WITH_BLOCKS
        and word in architectures(each.model.name)
        and 0 < facts.n_params / each.model.total_params - 1 <= SAME_FAMILY
    ]


@lru_cache(maxsize=1)
def _shelf() -> tuple[Loaded, ...]:
    folder = shelf("models")
    return tuple(load_model(folder / f"{name}.yaml") for name in names(folder))


# ---- names ----


def _words(text: str) -> frozenset[str]:
    """Lower-case words without points, letters apart from a version behind them: `Qwen2.5-14B` is qwen, 25, 14b.

    Unlike `spec.names.words`, which knows what somebody typed, these are counted to see how much two names share: a size is one
    word, so that every size does not share its b, and qwen2 begins qwen2.5.
    """
    found = []
    for word in re.split(r"[^a-z0-9.]+", re.sub(r"(?<=b)\.(?=a\d)", " ", text.lower())):
        word = word.replace(".", "")
        version = re.fullmatch(r"([a-z]+?)(?:moe)?(\d*)(?:moe)?", word)
        found += [part for part in version.groups() if part] if version else [word]
    return frozenset(found) - {""}


def _file_words(facts: Facts) -> frozenset[str]:
    stem = re.split(r"[\\/]", facts.file)[-1].removesuffix(".gguf")
    return _words(_MIX.sub(" ", stem))


def _label_words(facts: Facts) -> frozenset[str]:
    return _words(_MIX.sub(" ", facts.label))


def _architecture(facts: Facts) -> str:
    """The first word of a label, in plain letters."""
    return plain(facts.label.split(" ")[0])


def _is_of_family(name: str, facts: Facts) -> bool:
    """Whether a model has the label's architecture; where nobody knows that, whether a word of the file or label begins its name."""
    word = _architecture(facts)
    if word in known():
        return word in architectures(name)
    words = _label_words(facts) | _file_words(facts)
    return bool(_words(name.split("-")[0]) & words)


def _fit(name: str, facts: Facts) -> tuple[float, float]:
    """Shares of a model's words that stand in the file's name, and in the label, where qwen2 stands for qwen2.5, too."""
    words, in_file, in_label = _words(name), _file_words(facts), _label_words(facts)
    starts = tuple(word for word in in_label if word.isdigit())
    by_label = sum(word in in_label or (word.isdigit() and word.startswith(starts)) for word in words)
    return len(words & in_file) / len(words), by_label / len(words)


# ---- formats ----


def _in_formats(loaded: Loaded, weights: str, facts: Facts) -> Choice:
    """A model in the formats that the user names; Unusable where the run's own size or label says others."""
    bits = 8 * facts.nbytes / facts.n_params if facts.nbytes and facts.n_params else None
    if bits and not suits(loaded, weights, bits):
        raise Unusable(
            f"of another size than {loaded.model.name} in {weights}: leave --weights out, the file tells its own"
        )
    label = mix_of_label(facts.label)
    # Names that are no mix of llama.cpp, such as those of recipes, are finer than what a label may say.
    if label and mix_of_label(weights) == weights != label and (bits is None or suits(loaded, label, bits)):
        raise Unusable(f"in {label}, not in {weights}: leave --weights out, the file tells its own")
    return Choice(loaded, weights)


def _with_formats(loaded: Loaded, facts: Facts) -> Choice:
    bits = 8 * facts.nbytes / facts.n_params if facts.nbytes and facts.n_params else None
    if loaded.weights and (bits is None or suits(loaded, None, bits)):
        return Choice(loaded, None)
    label = _recipe_of_file(facts.file) or mix_of_label(facts.label)
    if label is None and bits is None:
        raise Unusable("the source does not say in which formats the weights are: give --model FILE.gguf or --weights")
    return with_formats(loaded, label, bits)


def _recipe_of_file(file: str) -> str | None:
    """The mix that a file is called after, where its label names only what it is mostly made of: `...-UD-Q4_K_XL.gguf`."""
    match = _DYNAMIC.search(file)
    name = match[1].lower() if match else ""
    return name if name in RECIPES else None


def mix_of_label(label: str) -> str | None:
    """`llama 8B Q4_K - Medium` as q4_k_m; None where no such mix is known."""
    match = _MIX.search(label)
    if not match:
        return None
    name = match[1].lower() + (match[2] or "").lower() + _ENDING.get((match[3] or "").lower(), "")
    name = _IRREGULAR.get(name, name)
    try:
        return parse_weights(name).name
    except InputError:
        return None
