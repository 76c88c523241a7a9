"""What a report says one should do: the choices of a plan in a table, changes of the only machine, and texts that stay texts."""

import re
import shlex

import pytest

from simulator import Goal, plan
from simulator.cli import main
from simulator.report.decision import decision


def test_the_choices_of_a_plan_are_in_the_section():
    """In their order, with the chance where a rate is asked for; no changes of several machines."""
    machines = ["rtx-3090", "m4"]
    text = decision(["qwen3-30b-a3b"], machines, Goal(20), ("q4_k_m",))
    found = plan("qwen3-30b-a3b", machines, Goal(20), weights=("q4_k_m",))
    places = [text.index(f'<td data-column="Machine">{each.base.hardware.name}</td>') for each in found.choices]
    assert places == sorted(places)
    assert text.startswith('<section id="decision">')
    assert '<th scope="col">Chance</th>' in text
    assert "What would a change buy?" not in text
    assert "Chance" not in decision(["qwen3-30b-a3b"], machines, Goal(), ("q4_k_m",))


def test_changes_of_the_only_machine_are_told():
    """As it is, and what buys most; fast enough is said to be so."""
    text = decision(["qwen3-30b-a3b"], ["rtx-3060+ryzen-7950x"], Goal(15), ("q4_k_m",))
    assert "As it is, with q4_k_m -ngl 99 --n-cpu-moe" in text
    assert "reaches it" in text
    assert '<td data-column="Change">2xrtx-3060 in place of rtx-3060</td>' in text


def test_the_command_that_tells_more_of_changes_runs(capsys):
    """With the machine, the format and the goal of the page."""
    text = decision(["qwen3-30b-a3b"], ["rtx-3060+ryzen-7950x"], Goal(15, users=2), ("q4_k_m",))
    line = re.search(r"more of changes: roofcast (.*?)\.</p>", text, flags=re.IGNORECASE)[1]
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(line))
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert "at least 15.0 tokens/s for each of 2 users at context 1,024" in out
    assert "as it is, with q4_k_m" in out


def test_what_cannot_be_reached_or_held_is_said():
    """With the nearest; and nothing of what cannot be planned at all."""
    assert "none of these gives at least 5,000 tokens/s" in decision(["llama-3-8b"], ["m4", "rtx-4090"], Goal(5000))
    told = decision(["deepseek-v3"], ["pi5-16gb", "rtx-3060"], Goal(), ("q4_k_m",))
    assert "none of these machines holds the model; the nearest, pi5-16gb with q4_k_m: needs" in told
    told = decision(["llama-3-8b"], ["pi5-8gb"], Goal(users=1000), ("q4_k_m",))
    assert "none of these machines holds the model and the caches of 1,000 users; the nearest, pi5-8gb" in told
    assert "holds 14 of 1,000 users at context 1,024, with all of them it needs 154.0 GiB more" in told
    assert decision(["llama-3-8b"], ["rtx-4090"], Goal(), ("q4_k_m",), {"runtime": "mlx"}) == ""


def test_names_cannot_leave_their_place():
    """A model's title is escaped."""
    found = plan("llama-3-8b", ["rtx-4090"], Goal(), weights=("q4_k_m",)).loaded
    evil = type(found)(found.model.model_copy(update={"title": "<script>alert(1)</script>"}))
    text = decision([evil], ["rtx-4090", "m4"], Goal(), ("q4_k_m",))
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
