"""Measurements in a CSV of our own layout."""

ROW = {
    "id": "a", "runtime": "llama.cpp", "backend": "cpu", "device": "pi5-16gb", "device_count": "1", "threads": "4",
    "mode": "single", "model": "llama-3-8b", "weights": "q4_k_m", "weights_gib": "", "cache": "f16", "batch": "1",
    "context": "576", "metric": "decode", "tokens_per_s": "2.0", "stddev": "0.02", "usable": "yes", "why_not": "",
}  # fmt: skip
HEAD = ",".join(ROW)
# One card, and two of them.
ONE_AND_TWO = """\
device,model,weights,batch,context,tokens_per_s,runtime
rtx-3090,llama-3-8b,q4_k_m,1,512,130,vllm
2xrtx-3090,llama-3-70b,q4_k_m,1,512,17,llama.cpp
"""


def csv_of(*changes):
    """A collection with a row for each of these changes of the row above, and their further columns."""
    columns = dict.fromkeys([*ROW, *(name for each in changes for name in each)], "")
    rows = [columns | ROW | each for each in changes]
    return "\n".join([",".join(columns), *(",".join(row.values()) for row in rows)]) + "\n"
