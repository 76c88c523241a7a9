"""Memory that can really be had: by kind of device, overruled by a device's own file, and never less than what people ran."""

import csv

import pytest
from places import ROOT

from simulator.commands.show import show
from simulator.forecast.scenario import scenario
from simulator.importers.measurements import load_measurements
from simulator.importers.open import load_model
from simulator.judge.score import MORE_MEMORY, score
from simulator.report.remarks import capacity, reserved
from simulator.spec.hardware import Hardware
from simulator.spec.library import names, shelf
from simulator.spec.machine import load_hardware
from simulator.spec.mixes import parse_weights
from simulator.spec.model import looked_up_bytes
from simulator.spec.reserve import reserve_of
from simulator.units import GI

PUBLISHED = list(csv.DictReader((ROOT / "tests" / "ran.csv").read_text(encoding="utf-8").splitlines()))
DEVICES = names(shelf("hardware"))


@pytest.mark.parametrize(
    ("name", "usable_gib"),
    [
        ("rtx-3090", 23.068),  # 24 - 1.8 % - 0.5
        ("rtx-3060", 11.284),  # 12 - 0.216 - 0.5
        ("a100-80gb-sxm", 78.46),  # 80 - 1.04 - 0.5
        ("h100-sxm", 78.83),  # 79.33, which its driver reports, - 0.5
        ("l4", 21.676),  # 24 - 7.6 % - 0.5
        ("rx-7900-xtx", 23.428),  # 24 - 0.072 - 0.5
        ("arc-a770", 14.604),  # 16 - 0.896 - 0.5
        ("m3-ultra-80", 384.0),  # three quarters
        ("m2", 16.0),  # its file: two thirds of 24
        ("strix-halo-128gb", 64.0),  # half
        ("pi5-16gb", 15.07),  # its file
        ("pi4-4gb", 3.1888),  # 4 - 0.0412 - 0.77
        ("ryzen-7950x", 124.286),  # 128 - 2.944 - 0.77
        ("dgx-spark", 121.0),  # its file
        ("jetson-agx-orin", 61.758),  # 64 - 1.472 - 0.77
        ("s24-ultra-gpu", 8.0),  # 12 - 4
    ],
)
def test_what_a_device_can_give(name, usable_gib):
    """The figures of its kind, or its file's own."""
    assert load_hardware(name).usable_bytes / GI == pytest.approx(usable_gib, abs=1e-3)


@pytest.mark.parametrize("name", DEVICES)
def test_no_device_gives_all_of_its_memory(name):
    """Something is held back on each, at most half, and its line says by whom, how that is known and how to change it."""
    device = load_hardware(name)
    capacity = device.main_memory.capacity_bytes
    assert capacity / 2 <= device.usable_bytes < capacity
    (line, *_) = reserved(scenario("smollm2-135m", device, weights="q8_0", runtime="roofline"))
    assert " are held by " in line
    assert "(estimated: " in line or "(measured" in line
    assert line.endswith("reserved_gib in a device file of your own says otherwise")
    source = device.reserved.source
    assert source in device.sources if device.main_memory.reserved_gib else "#" in source


def test_a_small_memory_keeps_a_half():
    """Half a GiB for a context would leave nothing of a card with 512 MiB."""
    memory = [{"name": "GDDR", "capacity_mib": 512, "gb_per_s": 10}]
    card = Hardware.model_validate(
        {"name": "old", "class": "consumer-gpu", "kind": "gpu", "vendor": "nvidia", "memory": memory}
    )
    assert card.usable_bytes == 256 * 2**20


def test_two_cards_hold_back_twice():
    """2 x (24 - 0.432 - 0.5) GiB, however they split the work; nothing is read out of a name."""
    one = load_hardware("rtx-3090")
    for split in ("layers", "tensors"):
        assert one.times(2, split).usable_bytes == pytest.approx(2 * one.usable_bytes)


def test_a_file_says_otherwise():
    """A device's own figure goes before that of its kind."""
    memory = [{"name": "GDDR6X", "capacity_gib": 24, "gb_per_s": 900, "reserved_gib": 0.25}]
    card = Hardware.model_validate(
        {"name": "mine", "class": "consumer-gpu", "kind": "gpu", "vendor": "nvidia", "memory": memory}
    )
    assert card.usable_bytes == 23.75 * GI
    base = scenario("llama-3-8b", card, weights="q4_0")
    assert next(reserved(base)).startswith("0.2 GiB of 24.0 GiB are held by the system (estimated")


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row['device']}-{row['model']}")
def test_what_ran_fits(row):
    """Each published measurement ran on its device, so it is forecast to fit; gpt-oss-20b on 12 GB is the narrowest."""
    base = scenario(row["model"], row["device"], weights=row["weights"], runtime=row["runtime"])
    assert bool(base.at(int(row["batch"]), int(row["context"])).fits)


def test_llama_cpp_keeps_looked_up_rows_off_the_card():
    """Llama 3 8B in f16: 128,256 rows of 4,096 values of 2 bytes stay on the host; a tied head is on the card."""
    model, f16 = load_model("llama-3-8b").model, parse_weights("f16")
    assert looked_up_bytes(model, f16) == 128256 * 4096 * 2
    assert looked_up_bytes(load_model("llama-3.2-1b").model, f16) == 0
    on_card, on_mac = (
        scenario("llama-3-8b", name, weights="f16").memory_bytes(1, 255) for name in ("rtx-3090", "m4-max-40")
    )
    assert on_mac - on_card == 128256 * 4096 * 2
    assert scenario("llama-3-8b", "h100-sxm", weights="f16", runtime="vllm").memory_bytes(1, 255) == on_mac


def test_a_runtime_takes_its_share_of_the_rest():
    """vLLM stops at 90 % by default, and says so; llama.cpp takes all that can be had."""
    base = scenario("llama-3-8b", "a100-80gb-sxm", weights="f16", runtime="vllm")
    assert base.memory_limit_bytes == pytest.approx(0.9 * 78.46 * GI)
    assert list(reserved(base))[1] == "of the rest vLLM takes 90%, its default (memory_share in its file)"
    assert len(list(reserved(scenario("llama-3-8b", "rtx-3090", weights="q4_0")))) == 1


def test_show_tells_what_is_held_back(capsys):
    """With the source, whether it stands in the file or not."""
    show("rtx-3090", None)
    told = " ".join(capsys.readouterr().out.split())
    assert (
        "reserved: 0.932 GiB (estimated: 1.8 % as on an RTX 3090, 0.5 GiB for a context; ggml-org/llama.cpp#23395"
        in told
    )


@pytest.mark.parametrize(
    ("device_class", "kind", "vendor", "held_by"),
    [
        ("igpu", "gpu", "intel", "Linux"), ("igpu", "gpu", "", "Linux"), ("phone", "cpu", "arm", "Android and its apps"),
        ("apple", "cpu", "apple", "the operating system"), ("consumer-gpu", "gpu", "", "driver and context"),
        ("phone", "gpu", "qualcomm", "Android and its apps"),
    ],
)  # fmt: skip
def test_every_kind_of_device_has_a_figure(device_class, kind, vendor, held_by):
    """Unknown is not zero: also for kinds of which none is shipped."""
    assert reserve_of(device_class, kind, vendor, "LPDDR5", 16, as_reported=False).held_by == held_by


def test_a_measurement_that_ran_is_forecast_in_all_of_the_memory(tmp_path):
    """88 GB of MiniMax-M2 on a Strix Halo need more than the half that Linux gives: it was told so, and that is said."""
    path = tmp_path / "rows.csv"
    rows = ["strix-halo-128gb,minimax-m2,3.28bpw,1,64,30", "strix-halo-128gb,llama-3-8b,q4_k_m,1,64,40"]
    path.write_text("\n".join(["device,model,weights,batch,context,tokens_per_s", *rows]), encoding="utf-8")
    first, second = score(load_measurements(path).published).rows
    assert MORE_MEMORY in first.assumed
    assert MORE_MEMORY not in second.assumed
    assert not scenario("minimax-m2", "strix-halo-128gb", weights="3.28bpw").at(1, 64).fits


@pytest.mark.parametrize(
    ("model", "device", "runtime", "told"),
    [
        ("llama-3-8b", "rtx-3060", "llama.cpp", True),
        ("llama-3-8b", "rtx-3060", "vllm", False),
        ("llama-3-8b", "m2-pro", "llama.cpp", False),
        ("qwen3-0.6b", "rtx-3060", "llama.cpp", False),
    ],
)
def test_embeddings_outside_a_card_are_told(model, device, runtime, told):
    """128,256 rows of 4,096 weights in q8_0 (34 bytes for 32) are 0.5 GiB beside a card; none where they are the head, too."""
    base = scenario(model, device, weights="q8_0", runtime=runtime, batch=1)
    lines = [line for line in capacity(base, [base.at(1, 1024)]) if "embeddings" in line]
    line = "0.5 GiB of embeddings are not in that: llama.cpp keeps them in the memory of the machine around the card"
    assert lines == ([line] if told else [])
