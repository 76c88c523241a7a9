"""The command `profile`: a tiny measuring from end to end, what is pooled and kept, and what is said of it."""

import json
import re
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from profiling import child, ended, profile_here

from simulator.cli import main
from simulator.commands import profile_cpu
from simulator.commands.hardware_file import to_yaml
from simulator.engine import compiled
from simulator.machine import host as hosts
from simulator.spec.machine import load_hardware


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """This machine really measured, if only a little: the folder, and what was said."""
    folder = tmp_path_factory.mktemp("profile")
    status, out, err = ended(child(cwd=folder))
    assert status == 0, err
    return folder, out, err


def test_this_machine_is_measured_and_written(measured):
    """A hardware file of its threads, caches and kernels; nothing else is left in the folder."""
    folder, out, _ = measured
    assert [path.name for path in folder.iterdir()] == ["mine.yaml"]
    hardware = load_hardware(folder / "mine.yaml")
    assert hardware.kind == "cpu"
    assert hardware.main_memory.gb_per_s.provenance == "measured"
    assert set(hardware.engine.kernels[1]) == {"f32", "q8_0"}
    assert hardware.runs[0].rounds >= 3
    assert hardware.name == "mine"
    assert "mine.yaml: measured once; last with" in out
    assert "next: roofcast simulate qwen3-30b-a3b mine.yaml    roofcast validate mine.yaml" in out


def test_the_file_forecasts_and_is_shown(measured, capsys, monkeypatch):
    """By the commands that were named, and for the engine itself."""
    folder, _, _ = measured
    monkeypatch.chdir(folder)
    for arguments in (
        ["simulate", "smollm2-135m", "mine.yaml", "--json", "-"],
        [
            "simulate",
            "smollm2-135m",
            "mine.yaml",
            "--runtime",
            "roofcast",
            "--weights",
            "q8_0",
            "--batch",
            "1",
            "--json",
            "-",
        ],
        ["show", "mine.yaml"],
    ):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        out, err = capsys.readouterr()
        assert (end.value.code or 0, err) == (0, "")
        if arguments[0] == "simulate":
            assert all(row["tokens_per_s"] > 0 for row in json.loads(out)["predictions"])
        else:
            assert "measured" in out


def test_measuring_again_pools(measured):
    """The rounds of both, two runs, and what was changed by hand stays."""
    folder, _, _ = measured
    path = folder / "mine.yaml"
    first = load_hardware(path).main_memory.gb_per_s.count
    path.write_text(path.read_text().replace("name: mine", "name: mine\nnotes: on my desk", 1))
    status, out, err = ended(child(cwd=folder))
    assert status == 0, err
    hardware = load_hardware(path)
    assert len(hardware.runs) == 2
    assert hardware.main_memory.gb_per_s.count == first + hardware.runs[1].rounds
    assert hardware.notes == "on my desk"
    assert "measured 2 times, pooled" in out
    assert [path.name for path in folder.iterdir()] == ["mine.yaml"]


def test_figures_of_all_times_are_pooled(quickly, folder):
    """The second time everything goes twice, the third time three times as fast: 16 GB/s times the third root of 6."""
    for _ in range(3):
        assert profile_here("--quick") == 0
    main_memory = load_hardware(folder / "mine.yaml").main_memory
    assert main_memory.gb_per_s.value == pytest.approx(16 * 6 ** (1 / 3), rel=1e-3)
    assert main_memory.gb_per_s.count == 15
    assert quickly == [Path()] * 3


def test_numbers_in_quotes_are_pooled_all_the_same(quickly, folder):
    """Thread counts, sizes and values that somebody's editor put in quotes: the next measuring, and the one after it."""
    assert profile_here("--quick") == 0
    path = folder / "mine.yaml"
    quoted = re.sub(r"(working_set_kib|threads|value|best): ([\d.]+)", r"\1: '\2'", path.read_text())
    path.write_text(re.sub(r"^( +)(\d+):", r"\1'\2':", quoted, flags=re.MULTILINE))
    assert profile_here("--quick") == profile_here("--quick") == 0
    hardware = load_hardware(path)
    assert hardware.main_memory.gb_per_s_by_threads[4].count == 15
    assert {point.gb_per_s.count for point in hardware.curve} == {15}


def test_what_was_measured_is_kept_where_it_cannot_be_pooled(quickly, folder, capsys):
    """A datasheet's 17.1 GB/s, and 16 and 32 measured, 22.6 together: the file stays, and the 32 stand beside it."""
    assert profile_here("--quick") == 0
    path = folder / "mine.yaml"
    path.write_text(path.read_text().replace("- name: LPDDR4X", "- name: LPDDR4X\n  datasheet_gb_per_s: 17.1"))
    before = path.read_text()
    for beside in ("mine-new.yaml", "mine-new1.yaml"):
        assert profile_here("--quick") == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "exceeds datasheet_gb_per_s 17.1" in line
        assert line.endswith(f"; what was measured is in {beside}")
    assert path.read_text() == before
    assert load_hardware(folder / "mine-new.yaml").main_memory.gb_per_s.value == pytest.approx(32, rel=1e-3)


def test_a_link_and_permissions_stay(quickly, folder):
    """The file that the link points to gets the new figures, and nobody else may read it, as before."""
    (folder / "mine.yaml").symlink_to("real.yaml")
    assert profile_here("--quick") == 0
    (folder / "real.yaml").chmod(0o600)
    assert profile_here("--quick") == 0
    assert (folder / "mine.yaml").is_symlink()
    assert len(load_hardware(folder / "real.yaml").runs) == 2
    assert stat.S_IMODE((folder / "real.yaml").stat().st_mode) == 0o600


def test_a_figure_of_ones_own_stays_as_the_file_says(quickly, folder):
    """As a bare number, or with another source; what says that it is from profiling is pooled, whatever its value."""
    assert profile_here("--quick") == 0
    path = folder / "mine.yaml"
    rule = "To keep a figure of your own, write it as a bare number or give it another source; comments are not kept."
    assert rule in path.read_text()
    data = yaml.safe_load(path.read_text())
    data["peaks_tflops"]["f32"] = 0.25
    data["peaks_tflops"]["int8"]["source"] = "mine"
    data["engine"]["step_us"]["value"] *= 16
    path.write_text(yaml.safe_dump(data))
    assert profile_here("--quick") == 0
    found = yaml.safe_load(path.read_text())
    assert found["peaks_tflops"] == data["peaks_tflops"]
    assert found["engine"]["step_us"]["count"] == 10


def test_a_speed_that_changes_nothing_is_remarked_on(quickly, folder, capsys):
    """gb_per_s by hand in a profile, where the figures by threads decide; not where it nearly agrees with them."""
    assert profile_here("--quick") == 0
    path, said = folder / "mine.yaml", {}
    for speed in (18, 32):
        data = yaml.safe_load(path.read_text())
        data["memory"][-1]["gb_per_s"] = speed
        path.write_text(yaml.safe_dump(data))
        capsys.readouterr()
        with pytest.raises(SystemExit):
            main(["simulate", "smollm2-135m", "mine.yaml", "--batch", "1"])
        said[speed] = " ".join(capsys.readouterr().out.split())
    assert "changes little" not in said[18]
    assert (
        "gb_per_s 32.0 of LPDDR4X changes little, since mine also has for 4 threads gb_per_s_by_threads 16.0, curve 16.0, "
        "engine.read_gb_per_s 16.0: change those, too"
    ) in said[32]


def test_the_file_is_named_after_its_name(quickly, folder, capsys):
    """Also in another folder, where the disk is measured too; names that are no names are made to be."""
    (folder / "there").mkdir()
    odd = folder / "there" / ("x" * 240 + ".yaml")
    assert profile_here("-o", "there/pi.yml") == 0
    assert profile_here("-o", str(odd)) == 0
    assert quickly == [Path("there"), folder / "there"]
    assert load_hardware(folder / "there" / "pi.yml").name == "pi"
    assert load_hardware(odd).name == "x" * 57 + "..."


def test_what_disturbs_is_said_before_measuring_and_kept(quickly, folder, monkeypatch, capsys):
    """On standard error, and the state of the machine in the file as well."""
    hot = "the processor is at 85 °C, where it may slow down: let it cool first"
    monkeypatch.setattr(profile_cpu, "describe_state", lambda _host: (hot,))
    monkeypatch.setattr(profile_cpu, "remark_on_others", lambda: ("other programs take 50% of the processor",))
    assert profile_here() == 0
    assert capsys.readouterr().err.splitlines() == ["note: other programs take 50% of the processor", f"note: {hot}"]


@pytest.mark.parametrize(("arguments", "seconds"), [((), 60), (("--quick",), 20), (("--seconds", "7.5"), 7.5)])
def test_seconds_are_those_that_were_given(quickly, folder, monkeypatch, arguments, seconds):
    """A minute unless told otherwise."""
    plans, make_plan = [], profile_cpu.make_plan
    monkeypatch.setattr(profile_cpu, "make_plan", lambda *given: plans.append(make_plan(*given)) or plans[-1])
    assert profile_here(*arguments) == 0
    assert [plan.budget_s for plan in plans] == [seconds]


def test_all_is_compiled_before_anything_is_measured(quickly, folder, monkeypatch):
    """With a bar of its own, for which the budget of seconds does not count."""
    bars, bar = [], profile_cpu.progress_bar
    monkeypatch.setattr(profile_cpu, "progress_bar", lambda label: bars.append(label) or bar(label))
    monkeypatch.setattr(profile_cpu, "compile_all", lambda _plan, tell: tell(1.0, "done") or bars.append(len(quickly)))
    assert profile_here("--quick") == 0
    assert bars == ["compiling", 0, "measuring"]


@pytest.mark.parametrize("is_kept", [True, False])
def test_compiling_is_said_once_where_there_is_any(quickly, folder, monkeypatch, capsys, is_kept):
    """Two functions that were not kept, 58 seconds: a line on standard error, and in the summary beside the measuring's own."""
    seconds = iter([100.0, 158.0])
    monkeypatch.setattr(profile_cpu, "time", SimpleNamespace(monotonic=lambda: next(seconds)))

    def compile_all(*_):
        if not is_kept:
            compiled._announce()
            compiled._announce()

    monkeypatch.setattr(profile_cpu, "compile_all", compile_all)
    assert profile_here("--quick") == 0
    out, err = capsys.readouterr()
    assert err.splitlines() == ([] if is_kept else ["compiling kernels, once on this processor, about a minute"])
    assert ("in 17 s, 5 rounds, after 58 s of compiling\n" in out) != is_kept
    assert ("in 17 s, 5 rounds\n" in out) == is_kept


def test_what_is_not_kept_is_announced():
    """Before it is compiled, to whoever listens then."""
    cache, heard = compiled._KernelCache(lambda: None, "unheard"), []
    cache.disable()
    with compiled.when_compiling(lambda: heard.append(1)):
        assert heard == []
        assert cache.load_overload("signature", SimpleNamespace(refresh=lambda: None)) is None
        assert heard == [1]
    with compiled.when_compiling(lambda: heard.append(2)):
        pass
    compiled._announce()
    assert heard == [1]


def test_the_text_is_what_was_said(folder):
    """Numbers, names with accents, and nothing that another reader of YAML would take for something else."""
    data = yaml.safe_load(to_yaml({"name": "é: 1", "notes": "yes", "memory": ({"value": 1.5, "how": "x, y"},)}))
    assert data == {"name": "é: 1", "notes": "yes", "memory": [{"value": 1.5, "how": "x, y"}]}
    assert hosts.Host(n_threads=1).caches == ()
