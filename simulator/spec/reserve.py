"""What of its memory a device cannot give to a model, where its file does not say: by kind of device, with the source.

A device's own `reserved_gib` goes before all of this. Shares are of the capacity that is sold, in GiB.
"""

from __future__ import annotations

from dataclasses import dataclass

OWN_MEMORY = ("consumer-gpu", "workstation-gpu", "datacenter-gpu")  # classes of cards with a memory of their own
MOST = 0.5  # of a memory: the figures here are of larger ones, so of a small one we take them to hold half at most
# From more than 32 GiB on macOS gives the GPU three quarters instead of two thirds: Metal recommends 21,845 of 32,768 MiB
# (ggml-org/llama.cpp#2011), and 49,152 of 65,536 (#1870); 36 is the next size that is sold.
LARGE_MAC_GIB = 36


@dataclass(frozen=True)
class Reserve:
    """A share of the memory and so many GiB beside it that something else holds; every figure is an estimate for its kind."""

    held_by: str
    share: float
    gib: float
    how: str
    source: str
    more: str = ""  # how somebody gets more of it


# A CUDA context takes 120 to 550 MB, the most on the largest chips (#20595): so half a GiB is on the safe side. What an RTX
# 3090 does not show to programs: 24,126 of 24,576 MiB. A desktop on the card takes more.
_CONTEXT = "0.5 GiB for a context"
_DRIVER_TELLS = Reserve("a context", 0.0, 0.5, _CONTEXT, "ggml-org/llama.cpp#20595")
_NVIDIA = Reserve(
    "driver and context", 0.018, 0.5, f"1.8 % as on an RTX 3090, {_CONTEXT}", "ggml-org/llama.cpp#23395 and #20595"
)
# An A100 sold with 40 GiB shows 39.49. Cards with GDDR give a sixteenth for error correction: an A10 shows 23,028 of 24,576 MiB.
_NVIDIA_HBM = Reserve(
    "driver and context", 0.013, 0.5, f"1.3 % as on an A100, {_CONTEXT}", "caps-tum/mt4g, ggml-org/llama.cpp#20595"
)
_NVIDIA_ECC = Reserve(
    "error correction, driver and context", 0.076, 0.5, f"6.3 % as on an A10, 1.3 % as on an A100, {_CONTEXT}",
    "modal-labs/modal-client#2797, caps-tum/mt4g, ggml-org/llama.cpp#20595", "nvidia-smi -e 0 switches error correction off",
)  # fmt: skip
# An RX 7900 XTX shows 24,506 of 24,576 MiB, an Arc A770 15,473 of 16,384; their contexts are not published.
_AMD = Reserve(
    "driver and context", 0.003, 0.5, f"0.3 % as on an RX 7900 XTX, {_CONTEXT} as with CUDA",
    "ollama/ollama#11265, ggml-org/llama.cpp#20595",
)  # fmt: skip
_INTEL = Reserve(
    "driver and context", 0.056, 0.5, f"5.6 % as on an Arc A770, {_CONTEXT} as with CUDA",
    "ggml-org/llama.cpp#27968 and #20595",
)  # fmt: skip
# Metal recommends 10,923 of 16,384 MiB (abetlen/llama-cpp-python#687), 21,845 of 32,768, 73,728 of 98,304. With macOS 26 it is
# more: 107.52 of 128 GiB (antirez/ds4#893), which is left out, since nobody says what system a forecast is for.
_WIRED = "sudo sysctl iogpu.wired_limit_mb=N raises it"
_SMALL_MAC = Reserve("macOS", 1 / 3, 0.0, "a third, as Metal recommends on 32 GB", "ggml-org/llama.cpp#2011", _WIRED)
_LARGE_MAC = Reserve("macOS", 1 / 4, 0.0, "a quarter, as Metal recommends on 96 GB", "ggml-org/llama.cpp#3213", _WIRED)
# 63,968 MiB of GTT on a Strix Halo with 128 GB; with ttm.pages_limit people reach 120 GiB and more.
_SHARED_GPU = Reserve(
    "Linux", 0.5, 0.0, "half, unless the kernel is told otherwise", "antirez/ds4#475, rjmalagon/ollama-linux-amd-apu#4",
    "the kernel parameter ttm.pages_limit raises it",
)  # fmt: skip
# A Galaxy S23 with 8 GB has about 4 for an app; what Android and its apps hold is taken to be as much on larger phones.
_PHONE = Reserve("Android and its apps", 0.0, 4.0, "4 GiB, as on a Galaxy S23 with 8 GB", "pytorch/executorch#3599")
# A Raspberry Pi 5 of 16 GB: 169 MiB that Linux does not get, 785 MiB used two minutes after boot. A machine of 128 GB: Linux
# gets 125.07 GiB. A desktop and a browser take more.
_BOARD = Reserve(
    "the operating system",
    0.0103,
    0.77,
    "1 % and 0.77 GiB, as on a Raspberry Pi 5 after boot",
    "geerlingguy/sbc-reviews#81",
)
_COMPUTER = Reserve(
    "the operating system", 0.023, 0.77, "2.3 % as on a machine of 128 GB, 0.77 GiB as on a Raspberry Pi 5 after boot",
    "antirez/ds4#16, geerlingguy/sbc-reviews#81",
)  # fmt: skip


def reserve_of(
    device_class: str, kind: str, vendor: str, memory: str, capacity_gib: float, as_reported: bool
) -> Reserve:
    """What a device of that class and vendor cannot give; *as_reported*: its capacity is what its driver tells."""
    if device_class == "phone":
        return _PHONE
    if kind == "cpu":
        return _BOARD if device_class == "sbc" else _COMPUTER
    if device_class == "apple":
        return _LARGE_MAC if capacity_gib >= LARGE_MAC_GIB else _SMALL_MAC
    if device_class not in OWN_MEMORY:
        return _SHARED_GPU if vendor in ("amd", "intel", "") else _COMPUTER
    if as_reported:
        return _DRIVER_TELLS
    if vendor in ("amd", "intel"):
        return {"amd": _AMD, "intel": _INTEL}[vendor]
    if device_class != "datacenter-gpu":
        return _NVIDIA
    return _NVIDIA_HBM if memory.upper().startswith("HBM") else _NVIDIA_ECC
