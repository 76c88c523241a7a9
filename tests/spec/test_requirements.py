"""What a device must be for a runtime to run on it, as its file says: nobody is forecast what cannot start."""

import pytest

from simulator import InputError, load_hardware, load_runtime, scenario
from simulator.forecast.scenario import usual_formats
from simulator.importers.open import load_model
from simulator.report.remarks import assumptions
from simulator.spec.hardware import CPU_KERNELS, Hardware
from simulator.spec.library import RUNTIMES, names, shelf
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Loaded
from simulator.spec.runtime import default_runtime

DEVICES = {name: load_hardware(name) for name in names(shelf("hardware"))}
REFUSED = {
    # 6.1 and 7.0 of 7.5; no figures for those makers; RDNA generations that it is not built for
    "vllm": {
        "p40", "v100", "gtx-1050-ti", "pi5-videocore7", "arc-a770", "flex-170", "max-1550", "s24-ultra-gpu",
        "rx-6700-xt", "rx-7600", "arc-b580",
    },
    "llama.cpp": {"pi5-videocore7"},
    "roofline": set(),
}  # fmt: skip


def test_every_shipped_device_says_its_architecture():
    """NVIDIA's by compute capability, AMD's by the name of LLVM's target, a CPU's by its instructions, each with its source."""
    for name, device in DEVICES.items():
        assert device.architecture, name
        assert device.architecture.source.startswith("https://"), name
        if device.kind == "cpu":
            assert device.architecture.name in CPU_KERNELS, name
        assert (device.architecture.compute_capability is None) == (device.vendor != "nvidia"), name


@pytest.mark.parametrize(
    ("name", "kernels"),
    [
        ("pi4-4gb", "neon"), ("pi5-8gb", "neon-dotprod"), ("rk3566", "neon-dotprod"), ("rk3576", "neon"),  # A72, A76, A55, A72
        ("m1-cpu", "neon-dotprod"), ("m2-max-cpu", "neon-i8mm"), ("epyc-7773x", "avx2"), ("ryzen-7950x", "avx512-vnni"),
        ("i9-13900k", "avx-vnni"), ("xeon-gold-6138-2s", "avx512"), ("core2-q8400", "sse"), ("spacemit-k1", "rvv"),
        ("hifive-p550", "riscv"),
    ],
)  # fmt: skip
def test_a_cpu_is_named_by_its_widest_kernels(name, kernels):
    """As LLVM and GCC list the instructions of its cores: an A72 has no dot products, an M1 no matrix products."""
    assert DEVICES[name].architecture.name == kernels


@pytest.mark.parametrize(("name", "capability"), [("p40", 6.1), ("t4", 7.5), ("rtx-5090", 12.0), ("dgx-spark", 12.1)])
def test_compute_capability_is_read_off_the_name(name, capability):
    """The last digit is the minor number, however many stand before it."""
    assert DEVICES[name].architecture.compute_capability == capability


@pytest.mark.parametrize("runtime", names(RUNTIMES))
def test_a_runtime_forecasts_what_it_runs_on_and_refuses_the_rest_by_name(runtime):
    """Every shipped device with every runtime: a forecast, or one sentence with the device and what to take instead."""
    software = load_runtime(runtime)
    for name, device in DEVICES.items():
        if not software.refusal(device):
            assert scenario("qwen3-0.6b", device, runtime=software).at(1, 128).tokens_per_s > 0
            continue
        with pytest.raises(InputError, match=r"; take (llama\.cpp, or )?roofline for the hardware alone$") as told:
            scenario("qwen3-0.6b", device, runtime=software)
        assert runtime in str(told.value), name


@pytest.mark.parametrize("runtime", REFUSED)
def test_which_gpus_a_runtime_refuses(runtime):
    """As documented: vLLM from 7.5 on (docs v0.31), llama.cpp's Vulkan not on a VideoCore VII (its issue 26213)."""
    gpus = {name for name, device in DEVICES.items() if device.kind == "gpu" and device.vendor != "apple"}
    assert {name for name in gpus if load_runtime(runtime).refusal(DEVICES[name])} == REFUSED[runtime]


@pytest.mark.parametrize("name", DEVICES)
def test_the_default_runtime_format_and_cache_can_run(name):
    """Whatever is left out is chosen such that the same choice, written out, is accepted."""
    base = scenario("qwen3-8b", DEVICES[name])
    written = {"runtime": base.runtime.name, "weights": base.load.weights.name, "cache": base.load.cache.name}
    assert scenario("qwen3-8b", DEVICES[name], **written).load.weights.name == base.load.weights.name
    for weights in usual_formats(base):
        assert not base.runtime.refusal(base.hardware, weights.name)


@pytest.mark.parametrize(
    ("name", "runtime"), [("p40", "llama.cpp"), ("v100", "llama.cpp"), ("t4", "vllm"), ("pi5-videocore7", "roofline")]
)
def test_the_default_is_the_first_that_runs(name, runtime):
    """Server cards are forecast with vLLM where it runs, everything else with llama.cpp where that runs."""
    assert default_runtime(DEVICES[name]) == runtime


def test_the_reason_for_an_unusual_default_is_told():
    """Whoever names no runtime for a P40 reads why it is not vLLM; whoever names llama.cpp does not."""
    chosen, named = (scenario("qwen3-8b", "p40", runtime=runtime) for runtime in (None, "llama.cpp"))
    told = [list(assumptions(base, [base.at(1, 1024)])) for base in (chosen, named)]
    line = "llama.cpp, since runtime vllm does not run on p40: compute capability 7.5 is needed, this GPU has 6.1"
    assert line in told[0]
    assert line not in told[1]


@pytest.mark.parametrize(
    ("device", "given", "message"),
    [
        ("t4", {"weights": "bf16"}, r"runtime vllm does not run bf16 on t4: .* 8\.0 .* 7\.5; take f16 as weights"),
        ("t4", {"cache": "bf16"}, r"runtime vllm does not run bf16 on t4: .* 8\.0 .* 7\.5; take f16 as cache"),
        (
            "rtx-2080-ti",
            {"weights": "mxfp4+bf16"},
            "does not run mxfp4 on rtx-2080-ti: .* take another weights format, or runtime llama.cpp",
        ),
        ("mi250x-gcd", {"weights": "fp8"}, "gfx942 or gfx950 or gfx1200 or gfx1201 is needed, this GPU is gfx90a"),
    ],
)
def test_a_format_without_kernels_is_refused(device, given, message):
    """What vLLM stops at when it starts is not forecast: the format, what it needs, what there is, what to take."""
    with pytest.raises(InputError, match=message):
        scenario("qwen3-8b", device, runtime="vllm", **given)


@pytest.mark.parametrize(
    ("device", "given", "message"),
    [
        ("rtx-3060", {"weights": "awq"},
         "awq: runtime llama.cpp loads no weights in int4-g128; take q4_k_m as weights, or runtime vllm"),
        ("rtx-3060", {"weights": "fp8"}, "runtime llama.cpp loads no weights in fp8; take q8_0 as weights, or runtime vllm"),
        ("rtx-3060", {"weights": "mxfp4+int4-g64"},
         "runtime llama.cpp loads no weights in int4-g64; take another weights format, or runtime vllm"),
        ("pi5-16gb", {"weights": "ternary"}, "runtime llama.cpp loads no weights in ternary; take tq1_0 as weights, or runtime bitnet.cpp"),
        ("rtx-3060", {"cache": "fp8"}, "runtime llama.cpp keeps no cache in fp8; take q8_0 as cache, or runtime vllm"),
        ("h100-sxm", {"weights": "tq1_0"}, "runtime vllm loads no weights in tq1_0; take another weights format, or runtime llama.cpp"),
        ("h100-sxm", {"cache": "q8_0"}, "runtime vllm keeps no cache in q8_0; take fp8 as cache, or runtime llama.cpp"),
        ("pi5-16gb", {"weights": "q3_k_m", "runtime": "roofcast"},
         "runtime roofcast loads no weights in q3_k_m; take another weights format, or runtime llama.cpp"),
    ],
)  # fmt: skip
def test_a_format_that_a_runtime_does_not_know_is_refused(device, given, message):
    """No file that it loads has such weights, whatever the device: what to take, and the software that does."""
    with pytest.raises(InputError) as told:
        scenario("llama-3-8b", device, **given)
    assert str(told.value) == message


def test_a_checkpoint_of_another_software_is_refused():
    """Whose weights came with it, unnamed: no check of llama.cpp could ever load them."""
    own = Loaded(load_model("llama-3-8b").model, parse_weights("int4-g128"))
    with pytest.raises(
        InputError, match=r"llama\.cpp loads no weights in int4-g128; take q4_k_m as weights, or runtime vllm"
    ):
        scenario(own, "rtx-4090")
    assert scenario(own, "rtx-4090", runtime="vllm").load.weights is own.weights


@pytest.mark.parametrize("weights", ["4.5bpw", "mxfp4+bf16", "iq3_xs", "nvfp4"])
def test_what_a_runtime_loads_stays_free(weights):
    """Sizes without a format, experts in MXFP4 beside 16 bits (as gpt-oss's files), any type of GGUF."""
    assert scenario("llama-3-8b", "rtx-3090", weights=weights).runtime.name == "llama.cpp"


@pytest.mark.parametrize("name", ["llama.cpp", "vllm", "roofcast", "roofline"])
def test_a_runtime_loads_what_it_chooses(name):
    """Its first choices, what people compare, checkpoints' own formats, its cache: none would be refused."""
    runtime = load_runtime(name)
    chosen = {*runtime.weights, *runtime.compared, *runtime.native_weights.values()}
    parts = {part for each in chosen for part in each.split("+")}
    assert not runtime.loads or parts <= {*runtime.loads}
    assert not runtime.caches or runtime.cache in runtime.caches


def test_f16_stands_in_for_bf16_on_turing():
    """A T4 has no bfloat16: weights and cache are of the same size in f16, as vLLM asks for."""
    base = scenario("qwen3-0.6b", "t4")
    assert (base.load.weights.name, base.load.cache.name) == ("f16", "f16")


def test_what_a_file_does_not_say_is_not_held_against_it():
    """A server card without an architecture keeps vLLM, and the reader is told that it is not known to run."""
    card = DEVICES["p40"].model_copy(update={"architecture": None})
    base = scenario("qwen3-0.6b", card)
    assert base.runtime.name == "vllm"
    told = list(assumptions(base, [base.at(1, 1024)]))
    assert "whether vLLM runs on p40 is not known: its file gives no architecture" in told


def test_an_architecture_of_another_maker_is_refused():
    """gfx1100 in the file of an NVIDIA card is a slip."""
    fields = DEVICES["p40"].model_dump(by_alias=True, exclude_none=True) | {"architecture": "gfx1100"}
    with pytest.raises(ValueError, match=r"an NVIDIA GPU's is sm_ and its compute capability, as sm_86 for 8\.6"):
        Hardware.model_validate(fields)


@pytest.mark.parametrize(
    ("device", "given", "told"),
    [
        ("pi5-16gb", "neon-dotprot", "did you mean neon-dotprod"),
        ("ryzen-7950x", "zen4", r"runtimes have kernels for, known: avx512-vnni, avx512, .*, rvv, riscv"),
        ("m4", "m4", "an Apple GPU's is its Metal family, as apple7 for the M1, got m4"),
        ("rx-7900-xtx", "rdna3", "an AMD GPU's is the name of LLVM's target, as gfx1100, got rdna3"),
    ],
)
def test_an_architecture_that_no_runtime_knows_is_refused(device, given, told):
    """With what can be written instead."""
    fields = DEVICES[device].model_dump(by_alias=True, exclude_none=True) | {"architecture": given}
    with pytest.raises(ValueError, match=told):
        Hardware.model_validate(fields)
