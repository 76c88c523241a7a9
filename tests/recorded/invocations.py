"""What the commands print and write, recorded: run as a script it records anew, which is for a change that is meant.

An invocation is a line as it is typed, in a folder with a few small files. What it prints is kept as JSON where it is JSON,
otherwise as lines; files that it writes likewise, pictures and the page left out. Times, and what depends on the processor
rather than on the forecast, are left out of what `generate` says.
"""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent

MIXTURE = """\
name: mixture
d_model: 256
vocab: 1000
layers:
  - count: 2
    attention: {kind: grouped_query, n_heads: 4, n_kv_heads: 2, head_dim: 64}
    ffn: {kind: experts, n_experts: 8, n_active: 2, d_expert: 128, n_shared: 1, d_shared: 128}
"""
DENSE = """\
name: dense
d_model: 256
vocab: 1000
tied_head: true
layers:
  - count: 2
    attention: {kind: grouped_query, n_heads: 4, n_kv_heads: 2, head_dim: 64}
    ffn: {kind: gated, d_ff: 512}
"""
BOARD = """\
name: board
class: sbc
kind: cpu
cores: 4
memory:
  - {name: DRAM, capacity_gib: 8, gb_per_s: {value: 10, provenance: measured, source: made up}, datasheet_gb_per_s: 12}
peaks_tflops: {f32: 0.1}
"""
CONFIG = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 1024, "intermediate_size": 2816,
    "num_hidden_layers": 4, "num_attention_heads": 16, "num_key_value_heads": 4, "vocab_size": 32000,
    "max_position_embeddings": 4096, "tie_word_embeddings": False, "torch_dtype": "bfloat16", "hidden_act": "silu",
    "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "attention_bias": False, "mlp_bias": False, "head_dim": 64,
}  # fmt: skip
MEASURED = """\
device,model,weights,batch,context,runtime,tokens_per_s,source
pi5-16gb,llama-3-8b,q4_k_m,1,128,llama.cpp,2.17,somebody
rtx-3060,gpt-oss-20b,mxfp4,1,128,llama.cpp,83.96,somebody
rtx-3060,no-such-model,q8_0,1,128,llama.cpp,5,somebody
"""
TABLE = """\
| model                  |     size |   params | backend    | threads | test   |         t/s |
| ---------------------- | -------: | -------: | ---------- | ------: | ------ | ----------: |
| llama 8B Q4_K - Medium | 4.58 GiB |   8.03 B | CPU        |       4 | tg 128 | 2.17 ± 0.01 |
| llama 8B Q4_K - Medium | 4.58 GiB |   8.03 B | CPU        |       4 | pp 512 | 20.2 ± 0.10 |

build: 8cf427ff (5163)
"""
FILES = {
    "mixture.yaml": MIXTURE, "dense.yaml": DENSE, "board.yaml": BOARD, "llama/config.json": json.dumps(CONFIG),
    "measured.csv": MEASURED, "table.md": TABLE,
}  # fmt: skip

INVOCATIONS = {
    # ---- simulate ----
    "simulate": "simulate qwen3-30b-a3b pi5-16gb --json -",
    "simulate-table": "simulate qwen3-30b-a3b pi5-16gb",
    "simulate-formats": "simulate llama-3-8b rtx-3060 --weights q4_k_m,q8_0 --batch 1,8 --context 0,8k --json -",
    "simulate-formats-table": "simulate llama-3-8b rtx-3060 --weights q4_k_m,q8_0 --batch 1,8 --context 0,8k",
    "simulate-too-large": "simulate qwen3-30b-a3b pi5-16gb --weights q8_0 --batch 1 --json -",
    "simulate-too-large-table": "simulate qwen3-30b-a3b pi5-16gb --weights q8_0 --batch 1",
    "simulate-vllm": "simulate mixtral-8x7b h100-sxm --devices 2 --runtime vllm --batch 1,32 --json -",
    "simulate-devices": "simulate llama-3-70b 2xrtx-3090 --batch 1,2 --json -",
    "simulate-devices-table": "simulate llama-3-70b 2xrtx-3090 --batch 1,2",
    "simulate-ceiling": "simulate kimi-k2 mi300x --devices 8 --batch 1,512 --runtime roofline --json -",
    "simulate-latent": "simulate deepseek-v3 h200 --devices 8 --batch 1,64 --context 4k,64k --json -",
    "simulate-recurrent": "simulate nemotron-h-9b rtx-4090 --batch 1,16 --json -",
    "simulate-windows": "simulate gemma-3-12b m3-ultra-80 --context 128,32k --batch 1 --json -",
    "simulate-cache": "simulate llama-3-8b rtx-4090 --cache q8_0 --context 32k --batch 1,4 --json -",
    "simulate-threads": "simulate llama-3.2-3b pi5-8gb --threads 2 --batch 1 --json -",
    "simulate-worst": "simulate qwen3-30b-a3b strix-halo-128gb --routing worst --batch 1..16*2 --json -",
    "simulate-zipf": "simulate gpt-oss-120b m4-max-40 --routing zipf:1.2 --batch 1..4 --json -",
    "simulate-switch": "simulate mixtral-8x7b rtx-3090 --routing switch:1.25 --batch 8 --weights 2.70bpw --json -",
    "simulate-sparsity": "simulate llama-3-8b pi5-16gb --sparsity q-sparse:0.5 --batch 1 --json -",
    "simulate-density": "simulate llama-3-8b rtx-3060 --density beta:2,5 --batch 1,2 --json -",
    "simulate-density-table": "simulate llama-3-8b rtx-3060 --density fixed:0.5 --batch 1,2",
    "simulate-files": "simulate mixture.yaml board.yaml --batch 1,4 --json -",
    "simulate-config": "simulate llama/config.json board.yaml --batch 1 --json -",
    "simulate-engine": "simulate qwen3-0.6b pi5-8gb --runtime roofcast --batch 1,2 --json -",
    "simulate-plot": "simulate llama-3-8b rtx-3060 --weights q4_k_m --batch 1..8*2 --plot -",
    "simulate-plot-json": "simulate llama-3-8b rtx-3060 --weights q4_k_m --batch 1,2 --json out.json --plot -",
    # ---- plan ----
    "plan": "plan qwen3-30b-a3b --at-least 20 --weights int4 --on pi5-16gb rtx-3090=700 m4=600 --json -",
    "plan-table": "plan qwen3-30b-a3b --at-least 20 --weights int4 --on pi5-16gb rtx-3090=700 m4=600",
    "plan-any": "plan llama-3-70b --at-least 30 --any --weights int4",
    "plan-change": "plan qwen3-30b-a3b --at-least 100 --on rtx-3060+ryzen-7950x --ram 32 --change",
    # ---- list and show ----
    "list-models": "list models qwen3",
    "list-models-on": "list models --on pi5-8gb --moe",
    "list-models-sizes": "list models --min-params 60b --max-params 80b",
    "list-hardware": "list hardware rtx",
    "list-runtimes": "list runtimes",
    "list-formats": "list formats",
    "list-architectures": "list architectures gemma2",
    "show-model": "show qwen3-30b-a3b",
    "show-model-weights": "show llama-3-8b --weights q4_k_m",
    "show-device": "show pi5-16gb",
    "show-gpu": "show h100-sxm",
    "show-runtime": "show vllm",
    "show-format": "show q4_k_m",
    "show-file": "show llama/config.json",
    # ---- plot ----
    "plot-speed": "plot speed llama-3-8b qwen3-8b --on rtx-3060 pi5-16gb",
    "plot-batch": "plot batch llama-3-8b mixtral-8x7b --on rtx-4090",
    "plot-context": "plot context gemma-3-12b llama-3-8b --on rtx-4090",
    "plot-experts": "plot experts qwen3-30b-a3b --on rtx-4090",
    "plot-bytes": "plot bytes qwen3-30b-a3b --on pi5-16gb --batch 1..16*2",
    "plot-formats": "plot formats llama-3-8b --on pi5-16gb",
    "plot-roofline": "plot roofline llama-3-8b --on rtx-3060",
    "plot-sparsity": "plot sparsity llama-3-8b --on pi5-16gb",
    "plot-routing": "plot routing qwen3-30b-a3b --on strix-halo-128gb",
    "plot-measured": "plot measured --measured measured.csv",
    "plot-device": "plot device --on pi5-16gb",
    # ---- report, validate, generate ----
    "report": "report qwen3-30b-a3b --on pi5-16gb -o report --batch 1,4 --context 1024 --weights 2.70bpw",
    "validate-csv": "validate --against measured.csv --json -",
    "validate-csv-table": "validate --against measured.csv",
    "validate-bench": "validate pi5-16gb --against table.md --json -",
    "generate": "generate mixture.yaml --tokens 4 --threads 1 --seed 3 --json -",
    "generate-dense": "generate dense.yaml --tokens 4 --threads 1 --weights q4_0 --cache f32 --json -",
    # ---- what is refused ----
    "refused-model": "simulate qwen3-30b-a3 pi5-16gb",
    "refused-format": "simulate llama-3-8b pi5-16gb --weights fp8",
    "refused-range": "simulate llama-3-8b pi5-16gb --batch 4..1",
    "refused-option": "simulate llama-3-8b pi5-16gb --bach 4",
}  # fmt: skip

# What `generate` says of this machine, and what its processor decides.
_OF_THE_MACHINE = {
    "tokens", "tokens_per_s", "seconds_per_token", "seconds", "bytes_per_s", "read_bytes_per_s", "prompt_seconds", "prompt_tokens_per_s",
    "load_seconds", "cpu", "cpu_path", "distinct_experts",
}  # fmt: skip


def run(line: str, folder: Path) -> dict:
    """What an invocation prints and writes in a folder, which the caller is in: status, output, errors, files."""
    from simulator.cli import main
    from simulator.commands import generation

    generation.COMPILING_S = 1000.0  # whether kernels are kept from before is none of what is said
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    out, err, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(shlex.split(line))
        except SystemExit as end:
            status = end.code
    written = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    names = [name for name in written if name not in FILES]
    read = {name: as_kept((folder / name).read_text(encoding="utf-8")) for name in names if _is_data(name)}
    return {
        "line": line,
        "status": status,
        "out": as_kept(out.getvalue()),
        "err": as_kept(err.getvalue()),
        "wrote": names,
        "data": read,
    }


def _is_data(name: str) -> bool:
    return name.endswith((".json", ".csv"))


def as_kept(text: str) -> object:
    """JSON as a value, without what belongs to the machine; anything else as lines."""
    if not text.startswith("{"):
        return text.splitlines()
    found = json.loads(text)
    return {key: value for key, value in found.items() if key not in _OF_THE_MACHINE or "cpu_path" not in found}


def path_of(name: str) -> Path:
    """Where an invocation is recorded."""
    return HERE / f"{name}.json"


def record_all() -> None:
    """Write every recording anew, and remove those that no invocation has."""
    for path in HERE.glob("*.json"):
        if path.stem not in INVOCATIONS:
            path.unlink()
    for name, line in INVOCATIONS.items():
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            found = run(line, Path(folder))
        path_of(name).write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{name}: {found['status']}, {len(found['out'])} of output", file=sys.stderr)


if __name__ == "__main__":
    record_all()
