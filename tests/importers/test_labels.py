"""Which model and formats llama.cpp means by its labels, a number of weights and a size."""

import re

import pytest

from simulator.importers.architectures_of_labels import architectures
from simulator.importers.labels import Facts, choose, mix_of_label
from simulator.importers.open import load_model
from simulator.spec.library import names, shelf


def facts(label, n_params, nbytes=None, file="", doubt=0.5):
    """What a run says of its model."""
    return Facts(file, label, n_params, doubt, nbytes)


# ---- which model ----


@pytest.mark.parametrize(
    ("label", "n_params", "doubt", "file", "model"),
    [
        ("llama 8B Q4_K - Medium", 8030261312, 0.5, "", "llama-3-8b"),
        ("llama 8B Q4_K - Medium", 8.03e9, 5e6, "", "llama-3-8b"),  # aya-expanse-8b has 8.03 B, too
        ("command-r 8B Q8_0", 8028033024, 0.5, "", "aya-expanse-8b"),
        ("llama 7B mostly Q4_0", 6.74e9, 5e6, "", "llama-2-7b"),
        ("llama 7B Q4_0", 7.24e9, 5e6, "", "mistral-7b"),
        ("llama 8x7B Q4_K - Medium", 46.70e9, 5e6, "", "mixtral-8x7b"),
        ("qwen2 14B Q4_K - Medium", 14.77e9, 5e6, "", "qwen2.5-14b"),
        ("qwen3 14B Q4_K - Medium", 14.77e9, 5e6, "", "qwen3-14b"),
        ("? Q3_K - Medium", 14.77e9, 5e6, "/m/Qwen3-14B-Q3_K_M.gguf", "qwen3-14b"),
        ("qwen3moe 30B.A3B Q4_K - Medium", 30.53e9, 5e6, "", "qwen3-30b-a3b"),
        ("gpt-oss 20B MXFP4 MoE", 20.91e9, 5e6, "", "gpt-oss-20b"),
        ("gemma3 4B Q4_0", 3.88e9, 5e6, "", "gemma-3-4b"),
        ("phi3 3B Q8_0", 3821079648, 0.5, r"C:\models\Phi-3.5-mini-instruct-Q8_0.gguf", "phi-3.5-mini"),
        ("phi3 3B Q8_0", 3821079648, 0.5, "Phi-3-mini-4k-instruct-q8_0.gguf", "phi-3-mini"),
        ("glm4moe 106B.A12B Q4_K - Medium", 106852251264, 0.5, "GLM-4.5-Air-UD-Q4_K_XL-00001-of-00002.gguf", "glm-4.5-air"),
        ("llama 1B Q4_K - Medium", 1235814432, 0.5, "", "llama-3.2-1b"),
    ],
)  # fmt: skip
def test_a_model_is_found_by_its_weights_and_name(label, n_params, doubt, file, model):
    """The number of weights first, as exact as it is given; then the words of the file's name, then the architecture."""
    assert choose(facts(label, n_params, file=file, doubt=doubt)).loaded.model.name == model


def test_a_model_that_may_be_two_is_left_out():
    """Phi 3 and 3.5 mini have equal counts and one architecture: only the file's name could tell."""
    assert choose(facts("phi3 3B Q8_0", 3.82e9, doubt=5e6)) == (
        "may be phi-3-mini or phi-3.5-mini: give --model FILE.gguf, or a name from roofcast list models"
    )


@pytest.mark.parametrize(
    ("label", "n_params"), [("stablelm 3B Q4_0", 2.8e9), ("starcoder2 7B Q4_0", 7.17e9), ("mamba 7B Q4_0", 7.24e9)]
)
def test_an_unknown_model_is_left_out(label, n_params):
    """No such number of weights, or another family with about as many."""
    reason = choose(facts(label, n_params, doubt=5e6))
    assert reason.startswith("no shipped model has the name and the number of weights: give --model")


# ---- which formats ----


@pytest.mark.parametrize(
    ("label", "mix"),
    [
        ("llama 8B Q4_K - Medium", "q4_k_m"),
        ("llama 8B Q4_K - Small (guessed)", "q4_k_s"),
        ("llama 8B (guessed) Q3_K - Large", "q3_k_l"),
        ("llama 7B mostly Q4_0", "q4_0"),
        ("llama 8B Q2_K - Medium", "q2_k"),
        ("llama 8B Q2_K - Small", "q2_k_s"),
        ("llama 8B Q6_K", "q6_k"),
        ("llama 8B IQ3_XXS - 3.0625 bpw", "iq3_xxs"),
        ("llama 8B IQ3_S mix - 3.66 bpw", "iq3_m"),
        ("llama 8B IQ4_NL - 4.5 bpw", "iq4_nl"),
        ("bitnet 2B TQ1_0 - 1.69 bpw ternary", "tq1_0"),
        ("gpt-oss 20B MXFP4 MoE", "mxfp4_moe"),
        ("llama 8B all F32", "f32"),
        ("llama 8B BF16", "bf16"),
        ("llama 7B mostly Q4_1, some F16", "q4_1"),
        ("llama 8B Q4_0_4_4", None),
        ("llama 8B unknown, may not work", None),
    ],
)
def test_the_words_of_a_label_name_a_mix(label, mix):
    """llama_model_ftype_name's texts, old and new; what is no mix of ours is None."""
    assert mix_of_label(label) == mix


def test_a_size_overrules_a_label():
    """Qwen3-30B in q4_k_m has 4.86 bits a weight; a file so labelled with 4.64 (17,709,692,928 bytes) is another mix."""
    found = choose(facts("qwen3moe 30B.A3B Q4_K - Medium", 30532122624, 17709692928))
    assert found.weights == "q4_k@4.61bpw+q4_k_m"
    assert found.assumed == ("q4_k_m as large as the file is: q4_k@4.61bpw+q4_k_m",)
    other = choose(facts("qwen3moe 30B.A3B Q4_K - Medium", 30532122624, 2 * 17709692928))
    assert other.weights == "9.28bpw"
    assert other.assumed == ("labelled q4_k_m, but of another size: counted by it, the same for every tensor",)


def test_the_name_of_a_file_tells_a_dynamic_mix():
    """llama.cpp labels UD-Q4_K_XL as Q4_K - Medium; its attention is in q8_0, its experts have what is left of 22,838,488,432 bytes."""
    for file in ("/m/Qwen3.6-35B-A3B-UD-Q4_K_XL.gguf", "Qwen3.6-35B-A3B-UD-Q4_K_XL-00001-of-00002.gguf"):
        found = choose(facts("qwen35moe 35B.A3B Q4_K - Medium", 34660610688, 22838488432, file, 5e6))
        assert found.weights == "q4_k@5.01bpw+ud-q4_k_xl"
    plain = choose(
        facts("qwen35moe 35B.A3B Q4_K - Medium", 34660610688, 22838488432, "Qwen3.6-35B-A3B-Q4_K_M.gguf", 5e6)
    )
    assert "ud-" not in plain.weights


def test_an_unknown_mix_is_counted_by_its_size():
    """8 * 4,015,130,624 bytes / 8,030,261,248 weights are 4 bits."""
    found = choose(facts("llama 8B Q4_0_8_8", 8030261248, 4015130624))
    assert (found.weights, found.assumed) == ("4.00bpw", ("weights known by their size, the same for every tensor",))


def test_experts_stay_in_the_checkpoints_own_format():
    """gpt-oss-120b-F16.gguf has 65,355,994,368 bytes: experts in mxfp4, the rest in 16 bits."""
    found = choose(facts("gpt-oss ?B F16", 116829156672, 65355994368, "gpt-oss-120b-F16.gguf"))
    assert found.weights == "mxfp4+f16"


# ---- every shipped model ----


def shipped_with_labels():
    """Every model that llama.cpp has a label for, with one of the architectures of its files."""
    found = []
    for name in names(shelf("models")):
        found += [pytest.param(name, each, id=f"{name}-{each}") for each in sorted(architectures(name))]
    return found


@pytest.mark.parametrize(("name", "architecture"), shipped_with_labels())
def test_the_label_of_every_shipped_model_is_found(name, architecture):
    """By architecture and number of weights, rounded as a table rounds it; two that are equal in both are told."""
    count = load_model(name).model.params_of_file
    unit = 1e9 if count >= 1e9 else 1e6
    found = choose(facts(f"{architecture} ?B Q8_0", round(count / unit, 2) * unit, doubt=0.005 * unit))
    if name.startswith(("phi-3-mini", "phi-3.5-mini")):
        assert found.startswith("may be phi-3-mini or phi-3.5-mini")
    else:
        assert found.loaded.model.name == name


def test_models_without_a_label_are_few():
    """No release of llama.cpp has files of these."""
    without = {name for name in names(shelf("models")) if not architectures(name)}
    assert {re.split(r"-\d|-(?=[a-z]+$)", name)[0] for name in without} == {
        "chatglm", "gpt", "gshard", "opt", "q-sparse", "switch",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("label", "n_params", "expected"),
    [
        ("glm4moe 106B.A12B Q4_K - Medium", 110.47e9, "glm-4.5-air"),
        ("qwen3next 80B.A3B Q4_K - Medium", 81.3e9, "qwen3-next-80b-a3b"),
        ("qwen35moe 35B.A3B Q4_K - Medium", 35.5e9, "qwen3.5-35b-a3b"),
    ],
)
def test_a_file_with_blocks_to_predict_more_is_found(label, n_params, expected):
    """Its count has them, ours has not."""
    assert choose(facts(label, n_params, doubt=5e6)).loaded.model.name == expected


@pytest.mark.parametrize(
    "label", ["qwen3moe ?B IQ4_KS - 4.25 bpw", "qwen3moe ?B IQ4_KSS - 4.0 bpw", "llama 8B IQ4_KT - 4.0 bpw"]
)
def test_the_words_of_forks_are_whole(label):
    """IQ4_KS is no IQ4_K; where a format is not known, the size decides."""
    assert mix_of_label(label) in (label.split()[2].lower(), None)
