"""Plans from the rows of a sweep: the same as of new forecasts, chosen among all that rows differ in, or refused in a sentence."""

import json
import random
import shlex
import shutil

import pytest

pytest.importorskip("pyarrow")

from fuzz.trees import mutated_tree

import simulator.sweeping.planning as planning
from simulator import Goal, InputError, load_hardware, open_sweep, plan, plan_from, run_sweep
from simulator.cli import main
from simulator.commands.hardware_file import to_yaml
from simulator.errors import MAX_LINE
from simulator.forecast.planning.changes import _with_faster_memory
from simulator.sweeping.file import AskedPlacement

PRICES = {"pi5-16gb": 120, "rtx-3060": 280, "rtx-3090": 700, "m4": 600, "rtx-5090": 2000}
FIVE = {"models": "qwen3-30b-a3b", "devices": list(PRICES), "formats": ["int4", "q3_k_m"], "contexts": [1024]}
MANY = {
    "models": ["qwen3-30b-a3b", "llama-3-8b"],
    "devices": ["rtx-3060+ryzen-7950x", "2xrtx-3090", "h100-sxm"],
    "runtimes": ["llama.cpp", "vllm"],
    "formats": ["q4_k_m", "fp8"],
    "caches": ["f16", "q8_0"],
    "routings": ["worst", "uniform"],
    "placements": [
        "auto",
        {"n_cpu_moe": 30},
        {"cpu_moe": True, "storage": "nvme-gen4"},
        {"parallel": "tensor"},
    ],
    "batches": [1, 8],
    "contexts": [512, 8192],
}


def swept(folder, asked):
    """A finished sweep."""
    run_sweep(asked, folder, processes=1)
    return folder


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    """One model on five devices, at one batch and context."""
    return swept(tmp_path_factory.mktemp("five") / "out", FIVE)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Two models, and several entries of every list."""
    return swept(tmp_path_factory.mktemp("many") / "out", MANY)


def told(found):
    """What of a plan can be compared."""
    choices = (*found.choices, *found.nearest, *filter(None, [found.next_cheaper]))
    return [
        (each.base.hardware.label, each.base.load.weights.name, each.tokens_per_s_each, each.chance, each.price)
        for each in choices
        if each.fits
    ]


@pytest.mark.parametrize(
    "goal",
    [Goal(20), Goal(150), Goal(20, chance=0.99), Goal(20, budget=650), Goal(5000), Goal(), Goal(180, chance=0.3)],
)
@pytest.mark.parametrize("prices", [PRICES, {}])
def test_rows_are_planned_with_as_forecasts_are(goal, prices, five):
    """The same machines, formats, chances, prices and order as `plan` of the same machines and formats, reached and missed."""
    prices = prices or ({"m4": 600} if goal.budget else {})
    found = plan_from(five, goal, prices=prices)
    same = plan("qwen3-30b-a3b", list(PRICES), goal, weights=FIVE["formats"], prices=prices)
    assert told(found) == told(same)
    assert found.n_machines == same.n_machines == 5
    assert [each.base.hardware.label for each in found.nearest] == [each.base.hardware.label for each in same.nearest]


def test_the_cheapest_that_is_known(five):
    """20 tokens/s in 4 bits: an M4 at 600; the RTX 3060 at 280 has no room, so that it is the next cheaper that misses."""
    found = plan_from(five, Goal(20), weights=["int4"], prices=PRICES)
    assert [(each.base.hardware.label, each.price) for each in found.choices] == [
        ("m4", 600),
        ("rtx-3090", 700),
        ("rtx-5090", 2000),
    ]
    assert found.next_cheaper.base.hardware.label == "rtx-3060"
    assert not found.next_cheaper.fits
    (only,) = plan_from(five, Goal(20), on=["rtx-3090"], weights=["q4_k_m"]).choices
    assert only.base.hardware.label == "rtx-3090"


def test_only_what_is_told_is_forecast(five, monkeypatch):
    """Of ten rows the one that is chosen: of an RTX 5090 the larger format, which is fast enough, and the smaller is faster."""
    made = []
    scenario = planning.scenario
    monkeypatch.setattr(planning, "scenario", lambda *words, **more: made.append(more) or scenario(*words, **more))
    found = plan_from(five, Goal(100), on="rtx-5090")
    assert len(made) == len(found.choices)
    assert found.choices[0].base.load.weights.name == "q4_k_m"


def test_each_choice_is_told_with_the_command_that_forecasts_it(many, capsys):
    """Whatever its runtime, cache, routing, split, drive and sharing: `simulate` gives the same rate."""
    kinds = set()
    for model, *more in (
        ("qwen3-30b-a3b",),
        ("qwen3-30b-a3b", "--routing", "worst", "--runtime", "llama.cpp"),
        ("llama-3-8b", "--cache", "q8_0"),
    ):
        line = ["plan", model, "--from", str(many), "--at-least", "4", "--users", "8", "--context", "8k", *more]
        choices = json.loads(printed(capsys, *line, "--json", "-"))["choices"]
        assert choices
        for choice in choices:
            words = shlex.split(choice["simulate"])[1:]
            (point,) = json.loads(printed(capsys, *words, "--json", "-"))["predictions"]
            assert point["tokens_per_s"] == pytest.approx(8 * choice["tokens_per_s_each"], rel=1e-9), words
            kinds.update(word for word in words if word.startswith("--"))
    assert {"--routing", "--cache", "--parallel"} <= kinds


def test_a_placement_that_was_named_is_in_the_command(tmp_path, capsys):
    """Of rows that have no other."""
    lists = {
        "models": "qwen3-30b-a3b",
        "devices": "rtx-3060+ryzen-7950x",
        "formats": "q4_k_m",
        "placements": [{"n_cpu_moe": 30}],
    }
    folder = swept(tmp_path / "out", lists)
    (choice,) = json.loads(printed(capsys, "plan", "--from", str(folder), "--at-least", "4", "--json", "-"))["choices"]
    assert "--n-cpu-moe 30" in choice["simulate"]
    (point,) = json.loads(printed(capsys, *shlex.split(choice["simulate"])[1:], "--json", "-"))["predictions"]
    assert point["tokens_per_s"] == pytest.approx(choice["tokens_per_s_each"], rel=1e-9)


def test_a_point_that_is_placed_for_itself_is_planned_with(tmp_path):
    """Though the smallest point of its sweep has less in RAM: the row and the forecast are of the same placement."""
    lists = {"models": "qwen3-30b-a3b", "devices": "rtx-3060+ryzen-7950x", "formats": "q4_k_m", "contexts": [0, "32k"]}
    folder = swept(tmp_path / "out", lists)
    (choice,) = plan_from(folder, Goal(4, context=32_768)).choices
    assert choice.tokens_per_s_each == pytest.approx(float(open_sweep(folder).read(context=32_768)["tokens_per_s"][0]))


def test_a_row_in_the_placement_of_another_point_is_planned_with(tmp_path):
    """On two cards beside RAM a point keeps what suits a smaller one while it fits, and is forecast as placed for itself."""
    lists = {
        "models": "llama-3-8b", "devices": "rtx-3060+rtx-4060+laptop-ddr5", "formats": "f16", "runtimes": "llama.cpp",
        "batches": "1..21+2", "contexts": "0..36k+1500",
    }  # fmt: skip
    folder = swept(tmp_path / "out", lists)
    (choice,) = plan_from(folder, Goal(6, users=3, context=19_500)).choices
    row = float(open_sweep(folder).read(batch=3, context=19_500)["tokens_per_s"][0]) / 3
    assert choice.tokens_per_s_each > 1.2 * row


def test_a_row_in_the_placement_of_its_own_point_is_what_is_forecast_now(tmp_path, monkeypatch):
    """On one card beside RAM: with a host whose memory is a quarter faster, a tenth faster in all, it is another machine."""
    lists = {"models": "qwen3-30b-a3b", "devices": "rtx-3060+ryzen-7950x", "formats": "q4_k_m"}
    folder = swept(tmp_path / "out", lists)
    hardware = load_hardware(lists["devices"])
    faster = hardware.joined(tuple(map(_with_faster_memory, hardware.beside)))
    then, now = (
        plan("qwen3-30b-a3b", each, Goal(1), weights=["q4_k_m"]).best.tokens_per_s_each for each in (hardware, faster)
    )
    assert 1 < now / then < 1.2
    monkeypatch.setattr(planning, "load_hardware", lambda _label: faster)
    with pytest.raises(InputError, match="has changed since"):
        plan_from(folder, Goal(1))


def printed(capsys, *words):
    """What a command prints, which ends well."""
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    out, err = capsys.readouterr()
    assert ended.value.code == 0, err
    return out


def test_of_one_format_a_smaller_cache_has_to_be_faster(many):
    """Of a machine each choice is faster than all before it, whose weights are larger, or the same with a larger cache."""
    found = plan_from(many, Goal(4, users=8, context=8192), model="qwen3-30b-a3b")
    by_machine = {}
    for each in found.choices:
        by_machine.setdefault(each.base.hardware.label, []).append(each)
    assert all(len(each) > 1 for each in by_machine.values())
    for each in by_machine.values():
        rates = [choice.tokens_per_s_each for choice in each]
        order = [(choice.point.weight_bytes, choice.base.load.cache.bits) for choice in each]
        assert rates == sorted(rates)
        assert order == sorted(order, reverse=True)


def test_assumed_routing_is_never_chosen_for_its_speed(many):
    """Uniform where nobody names one, as in `plan`; the other where somebody does."""
    goal = Goal(4, users=8, context=8192)
    usual, worst = (
        plan_from(many, goal, model="qwen3-30b-a3b", on="h100-sxm", routing=name) for name in (None, "worst")
    )
    assert {each.base.load.routing.name for each in usual.choices} == {"uniform"}
    assert {each.base.load.routing.name for each in worst.choices} == {"worst"}
    assert worst.choices[0].tokens_per_s_each < usual.choices[0].tokens_per_s_each


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"goal": Goal(20, context=4096)}, "--context 4,096: the sweep has none such, the nearest is 1,024"),
        ({"goal": Goal(20, users=2)}, "--users 2: the sweep has none such, the nearest is 1"),
        ({"goal": Goal(20, ttft=2.0)}, "ttft: rows of a sweep know no prompts"),
        ({"model": "llama-3-8b"}, "model 'llama-3-8b' is none of the sweep's, known: qwen3-30b-a3b"),
        (
            {"on": "rtx-4090"},
            "hardware 'rtx-4090' is none of the sweep's, did you mean rtx-5090, rtx-3090 or rtx-3060?",
        ),
        ({"weights": ["q8_0"]}, "--weights: the sweep has no such rows, but q3_k_m, q4_k_m"),
        ({"cache": "q8_0"}, "--cache: the sweep has no such rows, but f16"),
        ({"runtime": "vllm"}, "--runtime: the sweep has no such rows, but llama.cpp"),
        ({"routing": "worst"}, "routing worst: the sweep has none such, but uniform"),
        ({"goal": Goal(20, budget=9)}, "--budget 9: no price of these machines is known"),
    ],
)
def test_what_the_sweep_lacks_is_told_with_what_it_has(given, said, five):
    """In one sentence."""
    with pytest.raises(InputError) as error:
        plan_from(five, **given)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_one_of_several_models_has_to_be_named(many):
    """With the names of all."""
    with pytest.raises(InputError, match=r"^plan: the sweep has 2 models, name one: qwen3-30b-a3b, llama-3-8b$"):
        plan_from(many, Goal(4, context=512))


def test_what_came_from_a_file_is_named_by_it(tmp_path):
    """A device of one's own: left out and told, until its file is named; another of its name is not taken for it."""
    path, other = tmp_path / "mine.yaml", tmp_path / "other.yaml"
    for file, name in ((path, "rtx-3090"), (other, "rtx-4090")):
        fields = load_hardware(name).model_dump(by_alias=True, exclude_none=True, exclude_defaults=True)
        file.write_text(to_yaml(fields | {"name": "mine"}))
    lists = {"models": "llama-3-8b", "devices": [str(path), "m4"], "formats": "q4_k_m"}
    folder = swept(tmp_path / "out", lists)
    found = plan_from(folder, Goal(10))
    assert [each.base.hardware.label for each in found.choices] == ["m4"]
    assert "the sweep has it from a file: name that with --on" in found.left_out["mine"]
    (choice,) = plan_from(folder, Goal(10), on=path).choices
    assert choice.base.hardware.label == "mine"
    with pytest.raises(
        InputError, match=r"^mine: with q4_k_m it is .* tokens/s in the sweep and forecast .* has changed"
    ):
        plan_from(folder, Goal(10), on=other)


@pytest.mark.parametrize(
    "asked",
    [
        AskedPlacement(),
        AskedPlacement(gpu_layers=20, n_cpu_ffn=0, tensor_split="3,1"),
        AskedPlacement(cpu_moe=True, storage="3.5 GB/s", override_tensor=("exps=CPU", r"blk\.1\.ffn_up=CUDA0")),
        AskedPlacement(n_cpu_moe=3, parallel="tensor2xpipeline2"),
    ],
)
def test_a_placement_is_read_as_it_is_written(asked):
    """Rows have them as text."""
    assert AskedPlacement.written(str(asked)) == asked


@pytest.mark.parametrize(
    "text", ["", "autos", "--n-cpu-moe", "--n-cpu-moe x", "--cpu-moe yes", "--gpu-layers 1 2", "--x 1"]
)
def test_what_is_no_placement_is_refused(text):
    """As a damaged row may have it."""
    with pytest.raises(InputError):
        AskedPlacement.written(text)


def test_damaged_folders_are_refused_in_a_sentence(five, tmp_path):
    """Values of its manifest at random, and rows of another sweep under its names: planned with, or refused; nothing else comes back."""
    folder, rng, refused = tmp_path / "out", random.Random(16), 0
    longest = 0
    shutil.copytree(five, folder)
    manifest = folder / "_sweep.json"
    tree = json.loads(manifest.read_text())
    for _ in range(120):
        manifest.write_bytes(mutated_tree(rng, tree, {}))
        try:
            plan_from(folder, Goal(20))
        except InputError as error:
            refused += 1
            longest = max(longest, *map(len, str(error).split("\n")))
    assert refused > 20
    assert longest <= MAX_LINE
    manifest.write_text(json.dumps(tree | {"batches": [1, 2]}))
    with pytest.raises(InputError, match=r"other values than a sweep's; the same roofcast sweep with --check"):
        plan_from(folder, Goal(20))


def test_of_rows_the_published_format_loses_least(tmp_path):
    """Before larger ones, as in a plan of forecasts."""
    lists = {"models": "gpt-oss-20b", "devices": "rtx-3090", "formats": ["q8_0", "mxfp4", "q2_k"]}
    run_sweep(lists, tmp_path / "out", processes=1)
    found = plan_from(tmp_path / "out", Goal(at_least=10))
    assert [each.base.load.weights.name for each in found.choices] == ["mxfp4_moe", "q2_k"]


def test_a_device_from_a_file_is_asked_for_before_prices(tmp_path):
    """Nothing of the sweep can be looked at: that comes before what a budget lacks."""
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine1\nclass: sbc\nkind: cpu\ncores: 4\npeaks_tflops: {f32: 1}\nprice: 80\n"
        "memory: [{name: DRAM, capacity_gib: 16, datasheet_gb_per_s: 30}]\n"
    )
    run_sweep({"models": "llama-3-8b", "devices": str(path), "formats": "q4_k_m"}, tmp_path / "out", processes=1)
    with pytest.raises(InputError, match=r"mine1.*the sweep has it from a file: name that with --on"):
        plan_from(tmp_path / "out", Goal(1, budget=90))
    assert plan_from(tmp_path / "out", Goal(1, budget=90), on=path).best.price == 80
