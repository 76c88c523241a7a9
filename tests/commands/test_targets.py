"""No command writes over what it reads, whatever option says where: the file stays, and nothing is forecast."""

import shutil
from pathlib import Path

import click
import pytest
from messages import write_gguf

from simulator.cli import COMMANDS, app, main
from simulator.commands.line.targets import Target
from simulator.sweeping.run import run_sweep

ROOT = Path(__file__).parents[2]
TRACE = "time,prompt,generate\n0,100,10\n1,100,10\n"
TEXTS = {
    "prices.csv": "hardware,price\npi5-16gb,80\n",
    "trace.csv": TRACE,
    "routing.csv": "layer,expert,count\n0,0,1\n",
    "measured.csv": "model,device\n",
    "sweep.yaml": "models: model.yaml\ndevices: 2xdevice.yaml\nruntimes: runtime.yaml\n",
}


@pytest.fixture
def inputs(files):
    """A folder with a file of every kind that a command reads."""
    for name, text in TEXTS.items():
        Path(name).write_text(text)
    write_gguf("draft.gguf")
    Path("folder").mkdir()
    shutil.copy("config.json", "folder")
    Path("folder/hf_quant_config.json").write_text("{}")
    return files


@pytest.mark.parametrize(
    ("command", "read"),
    [
        ("simulate model.yaml device.yaml --json model.yaml", "model.yaml"),
        ("simulate model.yaml device.yaml --json ./device.yaml", "device.yaml"),
        ("simulate model.yaml device.yaml --json link.json", "device.yaml"),
        ("simulate model.yaml 2xdevice.yaml --json device.yaml", "device.yaml"),
        ("simulate model.yaml rtx-3060+device.yaml --json device.yaml", "device.yaml"),
        ("simulate model.yaml device.yaml --runtime runtime.yaml --json runtime.yaml", "runtime.yaml"),
        ("simulate model.yaml device.yaml --routing routing.csv --json routing.csv", "routing.csv"),
        ("simulate model.yaml device.yaml --draft draft.gguf:4@0.6 --json draft.gguf", "draft.gguf"),
        ("simulate folder device.yaml --json folder/config.json", "folder/config.json"),
        ("simulate folder/config.json pi5-16gb --json folder/hf_quant_config.json", "folder/hf_quant_config.json"),
        ("plan model.yaml --on pi5-16gb --prices prices.csv --json prices.csv", "prices.csv"),
        ("plan model.yaml --on 2xdevice.yaml=200 m4 --json device.yaml", "device.yaml"),
        ("serve model.yaml device.yaml --trace trace.csv --json trace.csv", "trace.csv"),
        ("generate model.yaml --json model.yaml", "model.yaml"),
        ("generate model.yaml --record-routing model.yaml", "model.yaml"),
        ("validate device.yaml --against measured.csv --json device.yaml", "device.yaml"),
        ("validate device.yaml --against measured.csv --model model.yaml --json model.yaml", "model.yaml"),
        ("score measured.csv --json measured.csv", "measured.csv"),
        ("score measured.csv --csv measured.csv", "measured.csv"),
        ("routing routing.csv --json routing.csv", "routing.csv"),
        ("sweep sweep.yaml -o out --json sweep.yaml", "sweep.yaml"),
        ("sweep sweep.yaml -o out --json model.yaml", "model.yaml"),
        ("sweep sweep.yaml -o out --json device.yaml", "device.yaml"),
        ("sweep sweep.yaml -o out --json runtime.yaml", "runtime.yaml"),
    ],
)
def test_what_is_read_is_never_written_over(inputs, capsys, command, read):
    """By any name of the file, as a part of a machine or beside a number, and where a file or a folder leads to it."""
    Path("link.json").symlink_to("device.yaml")
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    with pytest.raises(SystemExit) as ended:
        app_main(command)
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert f"would overwrite what is read from {read}; give another file name" in told
    assert before == {path: path.read_bytes() for path in before}


def app_main(command):
    """Runs a command line."""
    from simulator.cli import main

    main(command.split())


def test_a_sweep_that_is_planned_from_keeps_its_files(inputs, refusal):
    """Its manifest and its rows are read by the folder's name."""
    run_sweep({"models": "llama-3-8b", "devices": "pi5-16gb"}, "out")
    rows = next(Path("out").rglob("*.parquet"))
    for name in ("out/_sweep.json", str(rows)):
        before = Path(name).read_bytes()
        told = refusal("plan", "--from", "out/", "--json", name)
        assert told == f"--json {name}: would overwrite what is read from {name}; give another file name"
        assert Path(name).read_bytes() == before


def test_new_files_may_stand_beside_what_is_read(inputs, shown):
    """In the folder of a model too, and the second time as well as the first."""
    for _ in range(2):
        shown("simulate", "folder", "pi5-16gb", "--weights", "f16", "--json", "folder/forecast.json")


def test_a_report_is_not_made_over_what_it_reads(inputs, refusal):
    """Files are read from parts of machines and from options, too."""
    Path("report").mkdir()
    shutil.copy("device.yaml", "report/forecasts.csv")
    shutil.copy("routing.csv", "report/measured.csv")
    for option in ("report/measured.csv", "uniform,report/measured.csv"):
        told = refusal("report", "model.yaml", "--on", "pi5-16gb", "--routing", option)
        assert told == "-o report: report/measured.csv is read from this folder; give another one"


@pytest.mark.parametrize(
    "command",
    [
        "simulate model.yaml device.yaml --json f.svg --plot ./f.svg",
        "score --csv f.json --json f.json",
        "validate device.yaml --against measured.csv --learn f.yaml --json f.yaml",
    ],
)
def test_two_options_do_not_write_one_file(inputs, refusal, command):
    """The second would be written over the first."""
    assert "give one another file name" in refusal(*command.split())


def test_what_comes_with_roofcast_is_not_written_over(inputs, refusal):
    """Neither a device nor measurements, which are read by names and without."""
    for name in ("hardware/pi5-16gb.yaml", "simulator/measured/decode.csv"):
        before = (ROOT / name).read_bytes()
        assert "is a file that comes with roofcast" in refusal("score", "--json", str(ROOT / name))
        assert (ROOT / name).read_bytes() == before


def test_every_option_that_names_a_file_to_write_is_one():
    """`--json`, `--plot` and `--csv` of all commands, and what else writes."""
    written = {"json", "plot", "csv", "learn", "record_routing"}
    with click.Context(app) as context:
        for name in COMMANDS:
            for each in app.get_command(context, name).params:
                assert each.name not in written or isinstance(each, Target), (name, each.name)


def test_a_way_through_a_folder_that_is_not_there_leads_to_the_same_file(tmp_path, monkeypatch, capsys):
    """It would be written there."""
    monkeypatch.chdir(tmp_path)
    Path("prices.csv").write_text("hardware,price\nm4,600\n")
    for target in ("nowhere/../prices.csv", "./nowhere/../prices.csv"):
        with pytest.raises(SystemExit) as ended:
            main(["plan", "llama-3-8b", "--on", "m4", "--prices", "prices.csv", "--json", target])
        assert ended.value.code == 2
        assert "would overwrite what is read from prices.csv" in capsys.readouterr().err
    assert Path("prices.csv").read_text() == "hardware,price\nm4,600\n"
