"""A page's data of machines of several parts."""

import base64
import contextlib
import io
import json
import shlex

import numpy as np
import pytest
from shown_pages import agrees, readout

from simulator.cli import main
from simulator.report.grid import build_grids
from simulator.report.page import page
from simulator.report.page_data import as_data


def test_a_mixture_on_the_parts_of_a_machine():
    """Each format is placed by itself, and what memory holds depends on the batch: the page has it point by point."""
    grids = build_grids(["gpt-oss-20b"], ["rtx-3060+ryzen-5600x"], batches=(1, 4), weights=("mxfp4_moe", "q8_0"))
    data = json.loads(json.dumps(as_data(grids)))
    for each, shown in zip(data["pairs"][0]["formats"], grids.pairs[0].formats, strict=True):
        n_rows, _, packed = data["pool"][each["held"]]
        memory = np.frombuffer(base64.b64decode(packed), "<f4")
        assert each["fixed"] == 0
        assert n_rows == 2
        assert memory[0] == np.float32(np.asarray(shown.surfaces[0].point.memory_bytes).flat[0])


def test_other_placements_of_the_first_format_are_in_the_page():
    """Each by the options that make it, slower than the usual one; of a single device there is none."""
    grids = build_grids(
        ["qwen3-30b-a3b"], ["rtx-3060+ryzen-5600x", "rtx-4090"], batches=(1,), weights=("q4_k_m", "q3_k_m")
    )
    split, whole = (pair["formats"] for pair in json.loads(json.dumps(as_data(grids)))["pairs"])
    default = next(each for each in split if each["name"] == "q4_k_m")
    assert default["placed"].startswith("-ngl 99 --n-cpu-moe ")
    others = [each["placed"] for each in default["placements"]]
    assert others
    assert default["placed"] not in others
    assert all(each["option"].endswith(f" {each['placed']}") for each in default["placements"])
    assert not any(each["placements"] for each in whole)
    assert {each["placed"] for each in whole} == {"all on it"}
    (pair, _) = grids.pairs
    usual = pair.formats[pair.default]
    rates = [float(each.surfaces[0].point.tokens_per_s.flat[0]) for each in (usual, *usual.placements)]
    assert rates[0] >= max(rates) * 0.97


def test_users_and_placement_are_chosen_on_the_page_of_a_machine(chromium, tmp_path):
    """Another placement is what its options forecast; users are about those that `simulate --each` counts."""
    grids = build_grids(
        ["qwen3-30b-a3b"], ["rtx-3060+ryzen-7950x"], weights=("q4_k_m",), batches=(1, 2, 4, 8), contexts=(1024,)
    )
    (tmp_path / "index.html").write_text(page(grids), encoding="utf-8")
    tab = chromium.new_page()
    tab.goto((tmp_path / "index.html").as_uri())
    names = tab.locator("#placement option").all_inner_texts()
    assert len(names) > 1
    usual = readout(tab)["Tokens per second"]
    tab.select_option("#placement", index=len(names) - 1)
    assert tab.locator("#command").inner_text().endswith(names[-1])
    assert "placement=" in tab.url
    assert agrees(tab)["tokens_per_s"] < float(usual[0])
    tab.select_option("#placement", index=0)
    tab.select_option("#users", label="20 tokens/s")
    told, command = readout(tab)["Users"], tab.locator("#command").inner_text()
    assert "--each 20" in command
    counted = int("".join(letter for letter in told[0] if letter.isdigit()))
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit):
        main([*shlex.split(command)[1:], "--json", "-"])
    (users,) = json.loads(out.getvalue())["users"]
    assert counted == pytest.approx(users["users"], abs=1)
    tab.close()


def test_the_page_says_where_the_gpu_fetches_weights_from_ram(chromium, tmp_path):
    """With all experts in RAM from batch 32 on, in words and along the line; with as few there as fit, memory is full before."""
    grids = build_grids(
        ["qwen3-30b-a3b"], ["rtx-3060+ryzen-5600x"], weights=("q4_k_m",), batches=(1, 16, 64), contexts=(1024,)
    )
    (tmp_path / "index.html").write_text(page(grids), encoding="utf-8")
    tab = chromium.new_page()
    tab.goto((tmp_path / "index.html").as_uri())
    said = {}
    for label in ("-ngl 99 --n-cpu-moe 19", "-ngl 99 --cpu-moe"):
        tab.select_option("#placement", label=label)
        words = tab.locator("#batches .answer").inner_text()
        marks = tab.locator("#throughput .plot svg text").all_text_contents()
        said[label] = (
            "the GPU fetches weights from RAM at batch 32" in words,
            "GPU fetches weights from RAM at 32" in marks,
        )
    assert list(said.values()) == [(False, False), (True, True)]
    tab.close()
