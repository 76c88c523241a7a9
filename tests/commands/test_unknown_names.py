"""What is said of names that there are not, and of names and files in the place of others."""

import struct
from pathlib import Path

import pytest
from messages import PI, QWEN

NAMES = [
    ((QWEN[:-4], PI), "unknown model 'qwen3-30b' (give a file, or see roofcast list models); did you mean qwen3-30b-a3b?"),
    (("nonsense", PI), "unknown model 'nonsense' (give a file, or see roofcast list models)"),
    ((QWEN, "pi5-16"), "unknown hardware 'pi5-16' (give a file, or see roofcast list hardware); did you mean pi5-16gb?"),
    ((QWEN, "rtx4099"), "did you mean rtx-4090"),
    ((QWEN, "rtx-4061"), "unknown hardware 'rtx-4061' (give a file, or see roofcast list hardware); did you mean rtx-4060"),
    ((QWEN, PI, "--runtime", "llama.cp"),
     "unknown runtime 'llama.cp' (give a file, or see roofcast list runtimes); did you mean llama.cpp or ik_llama.cpp?"),
    ((QWEN, PI, "--runtime", "zzz"), "unknown runtime 'zzz' (give a file, or see roofcast list runtimes)"),
    ((QWEN, PI, "--weights", "q4_kn"),
     "weights 'q4_kn' are unknown (see roofcast list formats, or write a size such as 4.5bpw); did you mean q4_k, q4_k_s or q4_k_m?"),
    ((QWEN, PI, "--weights", "zzzz"), "weights 'zzzz' are unknown (see roofcast list formats, or write a size such as 4.5bpw)"),
    ((QWEN, PI, "--weights", "999bpw"), "weights '999bpw': bits per weight must be between 0.1 and 64"),
    ((QWEN, PI, "--weights", "f16+f16+f16"), "experts are named twice, write parts as in head:q8_0+mxfp4+bf16"),
    ((QWEN, PI, "--cache", "q4"), "format 'q4' could be q4_1 or q4_0: write one of them"),
    ((QWEN, PI, "--cache", "q4_2"), "--cache 'q4_2' is unknown, did you mean q4_1, q4_0 or "),
    ((QWEN, PI, "--cache", "zzz"), "--cache 'zzz' is unknown, known: f32, f16, bf16, fp8, int8, q8_0"),
    ((QWEN, PI, "--routing", "unform"), "routing 'unform' is unknown, did you mean uniform?"),
    ((QWEN, PI, "--routing", "zzz"),
     "routing 'zzz' is unknown, known: uniform, same, worst, zipf:1.2, switch:1.25, gshard:2, expert-choice:2"),
    ((QWEN, PI, "--routing", "zipf"), "routing 'zipf': a number belongs after the colon, as in zipf:1.2"),
    ((QWEN, PI, "--routing", "switch:x"), "routing 'switch:x': a number belongs after the colon, as in switch:1.25"),
    ((QWEN, PI, "--routing", "zipf:-1"), "routing 'zipf:-1': the number must be above 0 and at most 100"),
    ((QWEN, PI, "--routing", "expert-choice:2"), "expert choice needs a batch of at least 64 here"),
    ((QWEN, PI, "--sparsity", "qsparse:0.5"),
     "sparsity 'qsparse:0.5' is unknown, did you mean q-sparse:0.5, turbosparse:0.5 or block-q-sparse:0.5?"),
    ((QWEN, PI, "--sparsity", "teal:50%"), "sparsity 'teal:50%': a share of zeros between 0 and 1 belongs after the colon, as in teal:0.5"),
    ((QWEN, PI, "--sparsity", "teal:50"), "sparsity 'teal:50': 50 is not a share between 0 and 1 (50 % is written 0.5)"),
    ((QWEN, PI, "--sparsity", "q-sparse:0.9"), "for a what-if write columns:0.9"),
    ((QWEN, PI, "--sparsity", "cats:0.1,0.2,0.3"), "sparsity 'cats:0.1,0.2,0.3': give one share, or 2 for up, down"),
    ((QWEN, PI, "--density", "fixed"), "density 'fixed' is not usable: write fixed:0.5, beta:2,5 (both above 0)"),
    ((QWEN, PI, "--density", "fixed:2"), "density 'fixed:2': 2 is not a share"),
    ((QWEN, PI, "--density", "gauss:1"), "density 'gauss:1' is not usable: write fixed:0.5, beta:2,5"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), NAMES)
def test_unknown_names_are_told_with_near_ones(refusal, arguments, message):
    """The word, what it should be, near names where there are some, and where all names are listed."""
    assert message in refusal("simulate", *arguments)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("pi6", "nothing is called 'pi6' (see roofcast list models, hardware, runtimes or formats)"),
        ("q4kn", "did you mean q4_k"),
        ("zzzzzz", "nothing is called 'zzzzzz' (see roofcast list models, hardware, runtimes or formats)"),
        ("", "'' is not a name"),
        ("none.yaml", "none.yaml: no such file"),
        ("none.gguf", "none.gguf: no such file"),
        ("none/config.json", "none/config.json: no such file"),
    ],
)
def test_show_names_what_it_does_not_know(refusal, word, message):
    """Near names from every shelf."""
    assert message in refusal("show", word)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("model", "list 'model' is unknown, did you mean models?"),
        ("machines", "list 'machines' is unknown, known: models, hardware, runtimes, formats, architectures"),
    ],
)
def test_list_names_what_can_be_listed(refusal, word, message):
    """Four shelves, one of them perhaps meant."""
    assert refusal("list", word) == message


@pytest.mark.parametrize(
    "option", ["batch", "context", "weights", "cache", "runtime", "routing", "sparsity", "density", "json"]
)
def test_an_empty_option_is_not_taken_as_left_out(refusal, option):
    """`--runtime "$UNSET"` in a script is a slip."""
    assert (
        refusal("simulate", QWEN, PI, f"--{option}", "")
        == f"--{option}: nothing is given after it; leave it out for the default"
    )


def test_swapped_names_are_recognised(refusal):
    """Hardware first is the likeliest slip: the right order is shown."""
    message = "'pi5-16gb' is a hardware name, a model name is needed here: write roofcast simulate MODEL HARDWARE"
    assert refusal("simulate", PI, QWEN) == message
    assert "'llama-3-8b' is a model name, a hardware name is needed here" in refusal("simulate", QWEN, "llama-3-8b")


def test_swapped_files_are_recognised(files, refusal):
    """A file of another sort is named as what it is, not by its first unknown field."""
    assert (
        refusal("simulate", "device.yaml", "model.yaml")
        == "device.yaml: this is a hardware file, model fields are needed here"
    )
    assert (
        refusal("simulate", "model.yaml", "model.yaml")
        == "model.yaml: this is a model file, hardware fields are needed here"
    )
    runtime = refusal("simulate", "model.yaml", "device.yaml", "--runtime", "device.yaml")
    assert runtime == "device.yaml: this is a hardware file, runtime fields are needed here"


def test_a_name_from_the_hub_is_answered_with_ours(refusal):
    """Nothing is downloaded: the id of a model on Hugging Face is the shipped one's name, or leads to it."""
    assert refusal("simulate", "Qwen/Qwen3-30B", PI) == (
        "Qwen/Qwen3-30B: no such file, and in no store here (Hugging Face, LM Studio, llama.cpp, Ollama): "
        "hf download Qwen/Qwen3-30B config.json brings its config (a few kB), then give this name again; "
        "did you mean qwen3-30b-a3b?"
    )


def test_weights_without_shapes_are_answered_with_the_folder(files, refusal):
    """safetensors hold no shapes of layers: the config beside them does."""
    Path("model.safetensors").write_bytes(bytes(100))
    assert refusal("simulate", "model.safetensors", PI) == (
        "model.safetensors: is a file of weights: give the folder with its config.json, which tells the shapes"
    )
    assert "other.safetensors: no such file" in refusal("simulate", "other.safetensors", PI)


def test_a_gguf_in_the_place_of_hardware_is_recognised(files, refusal):
    """By its first bytes, whatever its name."""
    Path("blob").write_bytes(b"GGUF" + bytes(100))
    assert refusal("simulate", QWEN, "./blob") == "blob: is a GGUF file, a text file is needed here"


@pytest.mark.parametrize("name", ["small.GGUF", "sha256-0123"])
def test_a_gguf_is_known_by_its_first_bytes(files, refusal, name):
    """Blobs in a cache have no suffix, files from Windows one in capitals: both are read as GGUF."""
    Path(name).write_bytes(b"GGUF" + struct.pack("<IQQ", 1, 0, 0) + bytes(20))
    assert "GGUF version 1 is not supported, versions 2 and 3 are" in refusal("simulate", name, PI)


def test_threads_are_no_matter_of_a_gpu(refusal):
    """The option, the device and the remedy."""
    assert refusal("simulate", QWEN, "rtx-4090", "--threads", "4") == "--threads: rtx-4090 is a GPU, leave it out"


def test_weights_are_no_matter_of_a_device(refusal):
    """`show` counts a model's bytes; of a device nothing is counted, and nothing is ignored in silence."""
    assert refusal("show", PI, "--weights", "q4_0") == "--weights: 'pi5-16gb' is no model, leave it out"


@pytest.mark.parametrize("command", ["show", "simulate"])
def test_formats_that_do_not_suit_the_shapes_are_told(refusal, command):
    """Tensor, row and block; nothing is printed before."""
    on = [PI, "--runtime", "roofline"] if command == "simulate" else []
    assert refusal(command, "gpt-oss-20b", *on, "--weights", "affine4-g128") == (
        "gpt-oss-20b with weights affine4-g128: token_embd: a row of 2880 elements does not divide into affine4-g128 blocks of 128"
    )


@pytest.mark.parametrize(
    ("word", "first"),
    [
        ("vlm", "vllm"), ("vlllm", "vllm"), ("vllmm", "vllm"), ("vlml", "vllm"), ("olama", "ollama"), ("sgalng", "sglang"),
        ("mxl", "mlx"), ("exlamav2", "exllamav2"), ("transfomers", "transformers"), ("lamma.cpp", "llama.cpp"),
    ],
)  # fmt: skip
def test_typical_slips_are_told_by_the_nearest_name_first(refusal, word, first):
    """A letter too few, too many or changed with the next; before names of which it is a word, as of mlx-vlm."""
    assert f"did you mean {first}" in refusal("simulate", QWEN, PI, "--runtime", word)
