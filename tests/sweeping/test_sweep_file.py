"""The file of a sweep: what its lists may say, and what is said of mistakes, before anything is forecast."""

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.sweeping import axes
from simulator.sweeping.axes import load_sweep
from simulator.sweeping.file import AskedPlacement
from simulator.sweeping.folder import AXES

LEAST = {"models": ["llama-3-8b"], "devices": ["pi5-16gb"]}


def mistakes(path, text):
    """What is said of a file, its path left out."""
    path.write_text(text)
    with pytest.raises(InputError) as error:
        load_sweep(path)
    return str(error.value).replace(str(path), "FILE").split("\n")


def test_what_is_left_out_is_usual():
    """One of each: what fits, with the usual runtime and cache, at batch 1 and context 1,024."""
    sweep = load_sweep(LEAST)
    assert sweep.n_points == 1
    assert (sweep.runtimes, sweep.formats, sweep.caches, sweep.routings) == ((None,),) * 4
    assert [str(each) for each in sweep.placements] == ["auto"]
    assert (sweep.batches.tolist(), sweep.contexts.tolist()) == ([1], [1024])


def test_the_product_of_lists(tmp_path):
    """2 models x 2 devices x 2 formats x 2 caches x 2 routings x 3 placements x 7 batches x 9 contexts."""
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "models: [llama-3-8b, qwen3-30b-a3b]\ndevices: [2xrtx-3090, rtx-3060+ryzen-7950x]\nruntimes: llama.cpp\n"
        "formats: [q4_k_m, q8_0]\ncaches: [f16, q8_0]\nroutings: [uniform, zipf:1.2]\n"
        "placements:\n  - auto\n  - {gpu_layers: 20}\n  - {cpu_moe: true, tensor_split: 3}\nbatches: 1..64*2\ncontexts: [0..8, 4]\n"
    )
    sweep = load_sweep(path)
    assert sweep.n_points == 2 * 2 * 2 * 2 * 2 * 3 * 7 * 9
    assert sweep.batches.tolist() == [1, 2, 4, 8, 16, 32, 64]
    assert sweep.contexts.tolist() == [*range(9)]
    assert [str(each) for each in sweep.placements] == ["auto", "--gpu-layers 20", "--cpu-moe --tensor-split 3"]


def test_a_mapping_is_as_good_as_a_file(tmp_path):
    """The same digest, which another list changes and another spelling or order of fields does not."""
    path = tmp_path / "sweep.yaml"
    path.write_text("# a remark\ndevices: [Raspberry Pi 5 16GB]\nmodels: llama-3-8b\ncontexts: 1k\n")
    digest = load_sweep(path).digest()
    assert load_sweep(LEAST).digest() == digest
    assert load_sweep({**LEAST, "batches": [1, 2]}).digest() != digest


def test_a_file_that_changes_is_another_sweep(tmp_path):
    """A model's own file under the same name, and counts of a router."""
    text = (
        "name: mine\nd_model: 256\nvocab: 1000\nlayers:\n"
        "  - attention: {kind: grouped_query, n_heads: 4, n_kv_heads: 2, head_dim: 64}\n    ffn: {kind: gated, d_ff: 512}\n"
    )
    model, counts = tmp_path / "mine.yaml", tmp_path / "counts.csv"
    model.write_text(text)
    counts.write_text("expert,count\n0,5\n1,1\n")
    asked = {"models": [str(model)], "devices": ["pi5-16gb"], "routings": [str(counts)]}
    digests = [load_sweep(asked).digest()]
    counts.write_text("expert,count\n0,4\n1,1\n")
    digests.append(load_sweep(asked).digest())
    model.write_text(text.replace("512", "768"))
    digests.append(load_sweep(asked).digest())
    assert len(set(digests)) == 3


def test_all_mistakes_are_told_at_once(tmp_path):
    """Each with its line, field and the names that may be meant."""
    found = mistakes(
        tmp_path / "sweep.yaml",
        "models: [llama-3-8b, llama-3-9b]\ndevices: pi5-17gb\nformats:\n  - q4_k_m\n  - q9_k\ncontexts: [1024, 8z]\n",
    )
    assert [line.split(": ")[:2] for line in found] == [
        ["FILE:1", "models[1]"],
        ["FILE:2", "devices[0]"],
        ["FILE:5", "formats[1]"],
        ["FILE:6", "contexts[1]"],
    ]
    assert "did you mean llama-3-8b" in found[0]
    assert "did you mean pi5-16gb" in found[1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model: a\n", "FILE: lists of models and devices are needed, as in docs/sweep.md"),
        ("models: []\ndevices: pi5-16gb\n", "FILE:1: models: the list is empty, []: name at least one"),
        ("models: llama-3-8b\ndevices: pi5-16gb\nplacements: [{override_tensor: []}]\n",
         "FILE:3: placements[0].override_tensor: at least 1 item is needed"),
        ("models: llama-3-8b\ndevices: pi5-16gb\nbatch: 1\n", "FILE:3: batch: unknown field, did you mean batches?"),
        ("models: llama-3-8b\ndevices: pi5-16gb\nbatches: 0..3\n", "FILE:3: batches[0]: 0..3: at least 1 is needed"),
        ("models: llama-3-8b\ndevices: pi5-16gb\nbatches: 1.5\n",
         "FILE:3: batches: names, whole numbers or ranges such as 1..64 are needed, got 1.5"),
        ("models: llama-3-8b\ndevices: pi5-16gb\nbatches: [1, .nan]\n", "FILE:3: batches: names, whole numbers or ranges"),
        ("models: llama-3-8b\ndevices: pi5-16gb\nplacements: [{cpu_moe: true, n_cpu_moe: 3}]\n",
         "FILE:3: placements[0]: cpu_moe takes the experts of all layers, n_cpu_moe"),
        ("models: llama-3-8b\ndevices: pi5-16gb\nbatches: 0..9m\n", "FILE:3: batches[0]: 0..9m: more than 100,000 values"),
        ("models: llama-3-8b\ndevices: pi5-16gb\nplacements: [by hand]\n",
         "FILE:3: placements[0]: auto, or an option such as n_cpu_moe: 20 is needed, got 'by hand'"),
        ("models: llama-3-8b\ndevices: pi5-16gb\nplacements:\n  - n_cpu_moee: 3\n",
         "FILE:4: placements[0].n_cpu_moee: unknown field, did you mean n_cpu_moe"),
        ("models: llama-3-8b\ndevices: [pi5-16gb, 2xrtx-3090]\nplacements: [{parallel: tensr}]\n", "FILE:3: placements[0]: parallel"),
        ("models: llama-3-8b\ndevices: pi5-16gb\nplacements: [{storage: floppy}]\n", "FILE:3: placements[0]: storage 'floppy' is unknown"),
        ("models: llama-3-8b\ndevices: pi5-16gb\nroutings: [zipf]\n", "FILE:3: routings[0]: "),
        ("models: llama-3-8b\ndevices: pi5-16gb\nruntimes: [vlm]\n", "FILE:3: runtimes[0]: "),
        ("models: llama-3-8b\ndevices: pi5-16gb\ncaches: [q9]\n", "FILE:3: caches[0]: "),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(tmp_path, text, told):
    """In one sentence."""
    (line,) = mistakes(tmp_path / "sweep.yaml", text)
    assert line.startswith(told)


@pytest.mark.parametrize("name", AXES)
def test_an_empty_list_is_refused(tmp_path, name):
    """Of every axis: it would be a sweep of nothing, or of something that nobody named."""
    lists = {"models": "llama-3-8b", "devices": "pi5-16gb"} | {name: "[]"}
    text = "".join(f"{key}: {value}\n" for key, value in lists.items())
    (line,) = mistakes(tmp_path / "sweep.yaml", text)
    place = 1 + list(lists).index(name)
    assert line.startswith(f"FILE:{place}: {name}: the list is empty, []: name at least one")
    assert ("or leave the list out" in line) == (name not in LEAST)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (range(1, 5), [1, 2, 3, 4]),
        (range(8, 0, -3), [8, 5, 2]),
        (np.array([4, 2, 4]), [4, 2]),
        (np.array(["1..3", "8"]), [1, 2, 3, 8]),
        (np.int64(7), [7]),
        ([np.int32(3), "4"], [3, 4]),
        (range(1, 20_001), [*range(1, 20_001)]),
    ],
)
def test_counts_as_python_has_them(given, meant):
    """Ranges and arrays stand for the lists that they are."""
    assert load_sweep({**LEAST, "batches": given}).batches.tolist() == meant


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (np.array([1.5]), "batches: names, whole numbers or ranges such as 1..64 are needed, got 1.5"),
        (np.array([True]), "batches: text is needed, got true"),
        (np.array([[1, 2]]), "batches: text is needed, got a list"),
        (range(10**30), "batches: at most 100,000 items can be given"),
        (range(0), "batches: the list is empty"),
        (np.arange(0), "batches: the list is empty"),
    ],
)
def test_counts_that_are_none(given, told):
    """In one sentence, before an array is made that no memory holds."""
    with pytest.raises(InputError) as error:
        load_sweep({**LEAST, "batches": given})
    assert str(error.value).startswith(f"sweep: {told}")


def test_names_may_be_paths(tmp_path):
    """In Python."""
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nd_model: 256\nvocab: 1000\nlayers:\n"
        "  - attention: {kind: grouped_query, n_heads: 4, n_kv_heads: 2, head_dim: 64}\n    ffn: {kind: gated, d_ff: 512}\n"
    )
    assert load_sweep({**LEAST, "models": [path]}).named()["models"] == ["mine"]


def test_two_of_one_name_are_told_apart(tmp_path):
    """Rows have names alone: another model of the same is refused, the same one again is one."""
    text = (
        "name: llama-3-8b\nd_model: 256\nvocab: 1000\nlayers:\n"
        "  - attention: {kind: grouped_query, n_heads: 4, n_kv_heads: 2, head_dim: 64}\n    ffn: {kind: gated, d_ff: 512}\n"
    )
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(InputError, match=r"^sweep: models\[1\]: another of the list is called llama-3-8b, too"):
        load_sweep({**LEAST, "models": ["llama-3-8b", str(tmp_path / "mine.yaml")]})
    assert len(load_sweep({**LEAST, "models": ["llama-3-8b", "Llama 3 8B"]}).models) == 1


def test_too_many_points_are_refused():
    """Before anything is done: 100,000 batches at 100,000 contexts, of 20 formats."""
    formats = [f"{bits / 10}bpw" for bits in range(30, 50)]
    asked = {**LEAST, "formats": formats, "batches": "1..100000", "contexts": "1..100000"}
    with pytest.raises(InputError, match=r"^sweep: 200,000,000,000 points are too many \(at most 100,000,000,000\)"):
        load_sweep(asked)


def test_too_many_files_are_refused(monkeypatch):
    """Few points each: 40 formats of one batch and context are two files of at most 32 combinations, and twice that of two models."""
    formats = [f"{bits / 10}bpw" for bits in range(20, 60)]
    asked = {**LEAST, "models": ["llama-3-8b", "qwen3-30b-a3b"], "formats": formats}
    monkeypatch.setattr(axes, "MAX_PARTS", 4)
    assert len(load_sweep(asked).parts) == 4
    monkeypatch.setattr(axes, "MAX_PARTS", 3)
    with pytest.raises(
        InputError,
        match=r"^sweep: 4 files would be too many \(at most 3, each of up to 32 combinations of a model\): shorten a list other than "
        r"batches and contexts, or make several sweeps of it$",
    ):
        load_sweep(asked)


def test_a_file_of_many_combinations_is_refused():
    """1,000 formats, 1,000 placements and 33 routings at one batch and context: 33 million points in more than a million files."""
    asked = {
        **LEAST,
        "formats": [f"{2 + each / 1000}bpw" for each in range(1000)],
        "placements": [{"tensor_split": f"1,{1 + each}"} for each in range(1000)],
        "routings": [f"zipf:{1 + each / 100}" for each in range(33)],
    }
    with pytest.raises(InputError, match=r"^sweep: 1,031,250 files would be too many \(at most 1,000,000, "):
        load_sweep(asked)


def test_a_placement_as_options():
    """None of them is auto; lists are repeated."""
    asked = AskedPlacement.model_validate(
        {"override_tensor": ["exps=CPU", "ffn=CPU"], "parallel": "tensor", "storage": "3.5"}
    )
    assert str(asked) == "--override-tensor exps=CPU --override-tensor ffn=CPU --parallel tensor --storage 3.5"
    assert str(AskedPlacement.model_validate({})) == "auto"
    assert AskedPlacement.model_validate({}).options.is_empty


def test_counts_keep_their_order():
    """As given, each once."""
    assert np.array_equal(load_sweep({**LEAST, "batches": [8, "1..2", 8]}).batches, [8, 1, 2])


def test_a_format_in_two_spellings_is_one():
    """Of weights and of caches, the first of them."""
    lists = {
        "models": "llama-3-8b",
        "devices": "m4",
        "formats": ["q4_k_m", "q8_0", "Q4_K_M"],
        "caches": ["F16", "q8_0", "fp16", "f16"],
    }
    sweep = load_sweep(lists)
    assert (sweep.settings[2], sweep.settings[3]) == (("q4_k_m", "q8_0"), ("F16", "q8_0"))
