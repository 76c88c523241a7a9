"""What the class under architectures says: models that write no text are refused, and one of another type is told."""

import json

import pytest

from simulator.errors import InputError
from simulator.families.heads import check_writes
from simulator.importers.huggingface import load_huggingface

QWEN3 = {
    "model_type": "qwen3",
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_attention_heads": 16,
    "num_hidden_layers": 28,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151936,
}


@pytest.fixture
def opened(tmp_path):
    """Opens Qwen3-0.6B with keys of one's own."""

    def of(**keys):
        (tmp_path / "config.json").write_text(json.dumps({**QWEN3, **keys}))
        return load_huggingface(tmp_path)

    return of


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("Qwen3ForSequenceClassification", "a classifier"),
        ("Qwen3ForTokenClassification", "a classifier"),
        ("Qwen3ForQuestionAnswering", "marks an answer"),
        ("Qwen3ForRewardModel", "scores a text"),
        ("Qwen2ForProcessRewardModel", "scores a text"),
        ("LlamaBidirectionalModel", "embeddings"),
        ("Qwen3Model", "the layers without a head"),
        ("LlamaModel", "the layers without a head"),
        ("Gemma3TextModel", "the layers without a head"),
    ],
)
def test_models_that_write_no_text_are_refused_by_their_class(opened, name, what):
    """Though the type and all shapes are those of a generator."""
    with pytest.raises(InputError, match=f"architectures names {name}, .*{what}.* writes no text token by token"):
        opened(architectures=[name])


@pytest.mark.parametrize(
    "name",
    [
        "ChatGLMModel", "BloomModel", "GPT2LMHeadModel", "GPT2DoubleHeadsModel", "InternVLChatModel", "UltravoxModel",
        "LlavaLlamaModel", "MllamaForConditionalGeneration", "QWenLMHeadModel", "T5ForConditionalGeneration",
    ],
)  # fmt: skip
def test_generators_by_other_names_are_none_of_them(tmp_path, name):
    """Published generators whose class is called a model, or has a head of another name."""
    check_writes(tmp_path, {"architectures": [name]})


@pytest.mark.parametrize("names", [None, [], [3], "Qwen3Model", {}])
def test_what_is_no_list_of_names_says_nothing(opened, names):
    """As transformers does, which goes by the type."""
    assert opened(architectures=names).model.d_model == 1024


def test_a_class_of_another_type_is_told_and_the_type_is_read(opened):
    """Norms of queries and keys are those of Qwen3, which Llama has not."""
    loaded = opened(architectures=["LlamaForCausalLM"])
    assert loaded.model.stack[0].attention.qk_norm == "head"
    assert any("'qwen3' and LlamaForCausalLM under architectures disagree: read by" in note for note in loaded.notes)


@pytest.mark.parametrize(
    ("model_type", "name"),
    [("qwen3", "Qwen3ForCausalLM"), ("llama", "LLaMAForCausalLM"), ("llama", "LlamaForCausalLM")],
)
def test_a_class_of_the_type_is_not_told(opened, model_type, name):
    """In any case of its letters."""
    assert not any("disagree" in note for note in opened(model_type=model_type, architectures=[name]).notes)


def test_experts_of_a_type_without_any_are_told_by_the_key_that_counts_them(opened):
    """Not by another that a model with experts would need."""
    with pytest.raises(InputError, match="num_experts is 8, and qwen3 as known here has no experts"):
        opened(num_experts=8)
