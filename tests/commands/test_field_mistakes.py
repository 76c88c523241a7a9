"""What is said of wrong fields in YAML files: file, line, field, value and what is needed."""

import re
from pathlib import Path

import pytest
from messages import MODEL, change

DEVICE_MISTAKES = [
    ("name: board\n", "", ":1: name: missing"),
    ("class: sbc\n", "", "class: missing, this field is needed"),
    ("class: sbc", "class: board", ":2: class: one of 'sbc', 'phone', 'laptop-cpu', 'desktop-cpu'"),
    ("kind: cpu", "kind: tpu", ":3: kind: one of 'cpu', 'gpu' is needed, got 'tpu'"),
    ("cores: 4", "coers: 4", ":4: coers: unknown field, did you mean cores"),
    ("cores: 4", "zzz: 4", ":4: zzz: unknown field, known: name, title, aliases, stands_for, class, kind"),
    ("cores: 4", "cores: many", ":4: cores: a whole number is needed, got 'many'"),
    ("cores: 4", "cores: 4.5", ":4: cores: a whole number is needed, got 4.5"),
    ("cores: 4", "cores: yes", ":4: cores: not a yes or no, got true"),
    ("cores: 4", "cores: [4]", ":4: cores: a whole number is needed, got a list"),
    ("cores: 4", "cores: 0", ":4: cores: at least 1 is needed, got 0"),
    ("cores: 4", "cores: 9999999", ":4: cores: at most 1,000,000 is possible, got 9999999"),
    ("cores: 4", f"cores: {10**400}", ":4: cores: at most 1,000,000 is possible, got 1000"),
    ("cores: 4", f"cores: 0x{'f' * 5000}", ":4: cores: at most 1,000,000 is possible, got a number of thousands of digits"),
    ("    capacity_gib: 64", "    capacity_gb: 64",
     ":7: memory[0].capacity_gb: unknown field, did you mean capacity_gib, capacity_mib or capacity_kib?"),
    ("    capacity_gib: 64\n", "", ":6: memory[0]: give one of capacity_kib, capacity_mib and capacity_gib"),
    ("gib: 64\n", "gib: 64\n    capacity_mib: 4\n", ":6: memory[0]: give one of capacity_kib, capacity_mib and capacity_gib"),
    ("    gb_per_s: 10", "    gb_per_s: 17 GB/s", ":8: memory[0].gb_per_s: a number without its unit is needed"),
    ("    gb_per_s: 10", "    gb_per_s: [17]", ":8: memory[0].gb_per_s: a number without its unit is needed"),
    ("    gb_per_s: 10", "    gb_per_s: {value: 17 GB/s}", ":8: memory[0].gb_per_s.value: a number is needed, got '17 GB/s'"),
    ("    gb_per_s: 10", "    gb_per_s: {valeu: 17}", ":8: memory[0].gb_per_s.valeu: unknown field, did you mean value?"),
    ("    gb_per_s: 10", "    gb_per_s: {source: page}", ":8: memory[0].gb_per_s.value: missing, this field is needed"),
    ("    gb_per_s: 10", "    gb_per_s: {value: 17, provenance: guess}",
     ":8: memory[0].gb_per_s.provenance: one of 'measured', 'datasheet', 'fitted', 'estimated' is needed, got 'guess'"),
    ("    gb_per_s: 10", "    gb_per_s: yes", ":8: memory[0].gb_per_s: not a yes or no, got true"),
    ("    gb_per_s: 10", "    gb_per_s: .nan", ":8: memory[0].gb_per_s: a finite number is needed, got nan"),
    ("    gb_per_s: 10", "    gb_per_s: -.inf", ":8: memory[0].gb_per_s: a finite number is needed, got -inf"),
    ("    gb_per_s: 10", "    gb_per_s: -10", ", got -10"),
    ("    gb_per_s: 10", "    gb_per_s: 30",
     ":6: memory[0]: a sustained rate of 30 GB/s exceeds datasheet_gb_per_s 20: one of them is wrong"),
    ("    gb_per_s: 10", "    gb_per_s_by_threads: {four: 5}", ":8: memory[0].gb_per_s_by_threads"),
    ("    gb_per_s: 10", "    gb_per_s_by_threads: {0: 5}", ":8: memory[0].gb_per_s_by_threads"),
    ("    gb_per_s: 10\n    datasheet_gb_per_s: 20\n", "",
     "DRAM holds the model, so its speed is needed: give datasheet_gb_per_s or gb_per_s"),
    ("gib: 64\n", "gib: 64\n    reserved_gib: 64\n", ":6: memory[0]: reserved_gib leaves no memory"),
    ("  - name: DRAM", "  - name: L3\n    capacity_gib: 99\n  - name: DRAM", "list the levels from the smallest to the largest"),
    ("  - name", "    name", ":5: memory: a list is needed, one item a line after a dash, got a mapping"),
    ("{f16: 1.0}", "{fp16: 1.0}", ":10: peaks_tflops: fp16: unknown number format, known: f32, tf32, f16"),
    ("{f16: 1.0}", "5", ":10: peaks_tflops: a mapping of fields is needed, got 5"),
    ("{f16: 1.0}", "", "peaks_tflops"),
    ("name: board", f"name: {'x' * 300}", ":1: name: "),
    ("name: board", 'name: "a\\nb"', ":1: name: must be "),
    ("name: board", "name: 5", ":1: name: text is needed, got 5"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), DEVICE_MISTAKES)
def test_a_wrong_device_file_is_told(files, refusal, old, new, message):
    """One mistake, one line: the file, its line, the field, the value and what is needed."""
    change("device.yaml", old, new)
    told = refusal("simulate", "model.yaml", "device.yaml")
    assert told.startswith("device.yaml:")
    assert message in told


MODEL_MISTAKES = [
    ("d_model: 256\n", "", ":1: d_model: missing, this field is needed"),
    ("d_model: 256", "d_modle: 256", ":2: d_modle: unknown field, did you mean d_model"),
    ("d_model: 256", "d_model: wide", ":2: d_model: a whole number is needed, got 'wide'"),
    ("d_model: 256", "d_model: true", ":2: d_model: not a yes or no, got true"),
    ("d_model: 256", "d_model:", ":2: d_model: a whole number is needed, got nothing"),
    ("d_model: 256", "d_model: 2020-01-01", ":2: d_model: a whole number is needed, got '2020-01-01'"),
    ("vocab: 1000", "vocab: 1000\ntied_head: maybe", ":4: tied_head: true or false is needed, got 'maybe'"),
    ("  - count: 2\n", "  -\n  - count: 2\n", ":5: layers[0]: a mapping of fields is needed, got nothing"),
    ("count: 2", "count: 0", ":5: layers[0].count: at least 1 is needed, got 0"),
    ("count: 2", "count: -2", ":5: layers[0].count: at least 1 is needed, got -2"),
    ("grouped_query", "groupd_query", ":6: layers[0].attention: unknown kind 'groupd_query', did you mean grouped_query?"),
    ("kind: grouped_query, ", "", ":6: layers[0].attention: kind is missing"),
    ("{kind: grouped_query, n_heads: 4, n_kv_heads: 2, head_dim: 64}", "multi-head", ":6: layers[0].attention: "),
    ("n_heads: 4", "n_heads: four", ":6: layers[0].attention.n_heads: a whole number is needed, got 'four'"),
    ("n_heads: 4", "n_heads: 4.5", ":6: layers[0].attention.n_heads: a whole number is needed, got 4.5"),
    ("n_heads: 4", "n_heads: -4", ":6: layers[0].attention.n_heads: at least 1 is needed, got -4"),
    ("n_kv_heads: 2", "n_kv_heads: 3", ":6: layers[0].attention: n_kv_heads (3) must divide n_heads (4)"),
    (", head_dim: 64", "", ":6: layers[0].attention.head_dim: missing, this field is needed"),
    ("d_expert: 256", "d_experts: 256", ":7: layers[0].ffn.d_experts: unknown field, did you mean d_expert or n_experts?"),
    ("n_active: 2", "n_active: 20", ":7: layers[0].ffn: n_active (20) cannot exceed n_experts (8)"),
    ("d_expert: 256", "d_expert: 256, n_shared: 1", "d_shared is needed with n_shared 1"),
    ("d_expert: 256", "d_expert: 256, d_expert: 256", ":7: d_expert: given twice, keep one"),
    ("name: small", "name:", ":1: name: text is needed, got nothing"),
    ("  - count: 2", "  - repeat: 2", ":6: layers[0].attention: unknown field, known: repeat, layers"),
    (MODEL[MODEL.index("layers:") :], "layers: []\n", ":4: layers: at least 1 item is needed"),
    (MODEL[MODEL.index("layers:") :], "layers:\n  - repeat: 2\n", ":5: layers[0].layers: missing, this field is needed"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), MODEL_MISTAKES)
def test_a_wrong_model_file_is_told(files, refusal, old, new, message):
    """The same for models, whose fields lie deep: the path to the field, without the parts that are ours."""
    change("model.yaml", old, new)
    told = refusal("simulate", "model.yaml", "device.yaml")
    assert told.startswith("model.yaml:")
    assert message in told


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("class: sbc\nkind: cpu", "class: desktop-cpu\nkind: gpu", "kind: a desktop-cpu is a cpu, got gpu: change kind or class"),
        ("class: sbc", "class: consumer-gpu", "kind: a consumer-gpu is a gpu, got cpu: change kind or class"),
        ("gb_per_s: 10\n    datasheet_gb_per_s: 20", "gb_per_s: 68000", "68,000 GB/s of DRAM are more than any device has"),
        ("datasheet_gb_per_s: 20", "datasheet_gb_per_s: 20001", "GB/s are meant, not MB/s?"),
    ],
)  # fmt: skip
def test_a_device_that_cannot_be_is_refused(files, refusal, old, new, message):
    """A GPU of a class of CPUs, memory a thousand times too fast: a slip."""
    change("device.yaml", old, new)
    assert message in refusal("simulate", "model.yaml", "device.yaml")


def test_a_missing_kind_is_answered_with_the_kinds(files, refusal):
    """Which kinds there are is what the reader needs."""
    change("model.yaml", "kind: grouped_query, ", "")
    assert {"grouped_query", "latent", "mamba2"} <= set(
        re.findall(r"\w+", refusal("simulate", "model.yaml", "device.yaml"))
    )


def test_a_layer_of_nothing_is_refused(files, refusal):
    """A model that reads nothing has no speed."""
    Path("model.yaml").write_text("name: m\nd_model: 1\nvocab: 1\nhas_head: false\nlayers:\n  - {norms: 0}\n")
    assert (
        refusal("simulate", "model.yaml", "device.yaml") == "model.yaml:1: a model needs a layer with attention or ffn"
    )


RUNTIME_MISTAKES = [
    ("weights: [f16]", "weights: [f17]", "runtime.yaml:6: weights: ", "'f17'", "did you mean f16?"),
    ("cache: f16", "cache: q9", "runtime.yaml:7: cache: ", "'q9'", "known: f32, f16"),
    ("check: bench {model}", "check: bench {mdoel}", "runtime.yaml:8: check: {mdoel} is unknown, known: {file}, {model}, {weights}"),
    ("check: bench {model}", "check: bench {model", "runtime.yaml:8: check: ", "a brace that is meant is written twice"),
    ("check: bench {model}", "check: 'bench {model:>1000000000}'", "runtime.yaml:8: check: "),
    ("{default: 0.9}", "{default: 1.1}", "runtime.yaml:4: ", "default", "cannot exceed 1"),
    ("{default: 0.9}", "{default: 90 %}", "runtime.yaml:4: backends.default.bandwidth_share.default: ", "'90 %'"),
    ("{default: 0.9}", "{q4k: 0.9}", "runtime.yaml:4: ", "q4k: unknown format"),
    ("[f16]}", "[fp16]}", "runtime.yaml:5: ", "fp16", "known: f32, tf32, f16"),
    ("backends:", "backend:", "runtime.yaml:2: backend: unknown field, did you mean backends?"),
    ("weights: [f16]\n", "", "runtime.yaml:1: weights: missing, this field is needed"),
]  # fmt: skip


@pytest.mark.parametrize("mistake", RUNTIME_MISTAKES, ids=lambda mistake: mistake[1])
def test_a_wrong_runtime_file_is_told(files, refusal, mistake):
    """Formats and the check command are looked at on loading: the file and its line are told, not an option nobody gave."""
    old, new, *parts = mistake
    change("runtime.yaml", old, new)
    told = refusal("simulate", "model.yaml", "device.yaml", "--runtime", "runtime.yaml")
    for part in parts:
        assert part in told


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("--sparsity", "qvk: 0.5\n", "case.yaml:1: qvk: unknown field, did you mean qkv?"),
        ("--sparsity", "name: x\nqkv: half\n", "case.yaml:2: qkv: a number is needed, got 'half'"),
        ("--sparsity", "qkv: 1\n", "case.yaml:1: qkv: "),
        ("--sparsity", "granularity: 0\n", "case.yaml:1: granularity: at least 1 is needed, got 0"),
        ("--density", "kind: fixed\n", "case.yaml:1: kind fixed needs value"),
        ("--density", "kind: normal\n", "case.yaml:1: kind: one of 'fixed', 'beta', 'samples' is needed, got 'normal'"),
        ("--density", "kind: samples\nsamples: [0.5, 2]\n", "samples must lie above 0 and at most at 1"),
        ("--density", "kind: beta\nalpha: 2\nbeta: -5\n", "case.yaml:3: beta: "),
    ],
)
def test_a_wrong_profile_is_told(files, refusal, option, text, message):
    """Sparsity and density files: as devices and models."""
    Path("case.yaml").write_text(text)
    assert message in refusal("simulate", "model.yaml", "device.yaml", option, "case.yaml")
