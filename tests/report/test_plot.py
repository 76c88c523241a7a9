"""Pictures of devices: what is drawn is what the file says, in every kind of file, or there is a sentence."""

from itertools import combinations, pairwise

import numpy as np
import pytest
import yaml
from box import MEASURED, kernel
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread
from matplotlib.text import Text

from simulator.cli import main
from simulator.report.drawing import files
from simulator.report.drawing.device import draw, write_plot
from simulator.report.drawing.labels import spread_apart
from simulator.report.roofline_data import ceilings_of, dots_of, format_binary, origin
from simulator.spec.hardware import Hardware
from simulator.spec.machine import load_hardware


@pytest.fixture
def box():
    """A device of which everything was measured."""
    return Hardware.model_validate(MEASURED)


@pytest.fixture
def bare():
    """A device without a curve and without peaks."""
    known = {key: MEASURED[key] for key in ("name", "class", "kind", "threads", "memory")}
    return Hardware.model_validate(known)


def axes_of(device):
    """The axes of a device's picture by name."""
    return {axes.get_label(): axes for axes in draw(device).axes}


def lines_of(axes):
    """What each line of some axes shows, by its label."""
    return {line.get_label(): np.asarray(line.get_xydata(), float) for line in axes.lines}


def run(capsys, *arguments):
    """Exit status, standard output and standard error of the command."""
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    printed = capsys.readouterr()
    return end.value.code, printed.out, printed.err


# ---- the roofline ----


def test_roofs_rise_with_the_bandwidth_of_each_level(box):
    """100 and 10 GB/s with two threads, up to the highest peak of 400 Gop/s, which they meet at 4 and 40 operations a byte."""
    lines = lines_of(axes_of(box)["roofline"])
    assert lines["L1 data, 100 GB/s"] == pytest.approx(np.array([[0.25, 25e9], [4, 400e9]]))
    assert lines["DDR4, 10.0 GB/s"] == pytest.approx(np.array([[0.25, 2.5e9], [40, 400e9]]))
    assert not any("L2" in name or "L3" in name for name in lines)  # nothing is known of their speed


def test_ceilings_are_the_peaks_and_begin_where_the_fastest_level_meets_them(box):
    """0.1, 0.2 and 0.4 Top/s over 100 GB/s; what two formats share is one line, named for both; up to four times 40 and more."""
    axes = axes_of(box)["roofline"]
    lines = lines_of(axes)
    assert lines["_f32"] == pytest.approx(np.array([[1, 100e9], [256, 100e9]]))
    assert lines["_f16, bf16"] == pytest.approx(np.array([[2, 200e9], [256, 200e9]]))
    assert lines["_int8"] == pytest.approx(np.array([[4, 400e9], [256, 400e9]]))
    assert [text.get_text() for text in axes.texts] == ["f32 100 Gop/s", "f16, bf16 200 Gop/s", "int8 400 Gop/s"]
    assert axes.get_xlim() == (0.25, 256)


def test_kernels_stand_where_memory_as_fast_as_the_roof_would_put_them(box):
    """Half floats, 2 bytes: 1 operation a byte for one token, 16 for sixteen; the roof is 0.1 ns a byte, reading beside them 0.05.

    One token waits for memory and cannot be faster than the roof: 10 Gop/s. Sixteen take 16 / 200 = 0.08 ns in the cache
    and 0.05 / 0.5 = 0.1 in memory, 0.02 more where reading takes 0.04 more: 0.125 at the roof, 128 Gop/s. Four are not drawn.
    """
    lines = lines_of(axes_of(box)["roofline"])
    assert lines["_f16 1"] == pytest.approx(np.array([[1, 10e9]]))
    assert lines["_f16 16"] == pytest.approx(np.array([[16, 128e9]]))
    assert "_f16 4" not in lines


def test_a_kernel_is_never_drawn_faster_than_in_the_cache():
    """40 Gop/s in the cache with 16 operations a byte, far below what memory would give."""
    kernels = {2: {"f16": {16: kernel(40, 1.0)}}}
    slow = Hardware.model_validate(MEASURED | {"engine": {**MEASURED["engine"], "kernels": kernels}})
    assert [dot.ops_per_s for dot in dots_of(slow)] == pytest.approx([40e9])


def test_labels_of_near_peaks_do_not_touch():
    """Five peaks within a factor of 1.3, and two caches of nearly the same size."""
    peaks = {"f32": 1, "f16": 1.05, "int8": 1.1, "fp8": 1.2, "int4": 1.3}
    memory = [
        {"name": "L2", "capacity_mib": 1}, {"name": "L3", "capacity_mib": 1.2},
        {"name": "DDR", "capacity_gib": 16, "gb_per_s": 10},
    ]  # fmt: skip
    crowded = axes_of(Hardware.model_validate(MEASURED | {"peaks_tflops": peaks, "memory": memory}))
    for name, count in (("roofline", 5), ("bandwidth", 2)):
        boxes = [Text.get_window_extent(text) for text in crowded[name].texts]
        assert len(boxes) == count
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


# ---- bandwidth ----


def test_the_curve_is_drawn_for_each_thread_count_with_its_spread(box):
    """GB/s over bytes; the band of two threads goes from 10 exp(-0.2) to 10 exp(0.2) at 64 MiB."""
    axes = axes_of(box)["bandwidth"]
    lines = lines_of(axes)
    assert lines["1 thread"] == pytest.approx(np.array([[32 * 1024, 50], [2**26, 8]]))
    assert lines["2 threads"] == pytest.approx(np.array([[32 * 1024, 100], [2**20, 60], [2**26, 10]]))
    band = axes.collections[1].get_paths()[0].vertices
    at_the_end = band[band[:, 0] == 2**26][:, 1]
    assert (at_the_end.min(), at_the_end.max()) == pytest.approx((10 * np.exp(-0.2), 10 * np.exp(0.2)))


def test_caches_are_lines_where_their_capacity_is(box):
    """64 KiB, and 2 MiB for two levels of one size."""
    axes = axes_of(box)["bandwidth"]
    lines = lines_of(axes)
    assert set(lines["_L1 data"][:, 0]) == {64 * 1024}
    assert set(lines["_L2, L3"][:, 0]) == {2**21}
    assert [text.get_text() for text in axes.texts] == ["L1 data\n64 KiB", "L2, L3\n2 MiB"]


def test_blocks_in_random_order_have_a_panel_of_their_own(box):
    """GB/s over the bytes of a block, smallest first, from zero; what is no random block is left out."""
    axes = axes_of(box)["random"]
    (line,) = [line for line in axes.lines if len(line.get_xdata()) == 2]
    assert np.asarray(line.get_xydata()) == pytest.approx(np.array([[64, 1], [4096, 6]]))
    assert axes.get_ylim()[0] == 0


def test_every_axis_has_a_unit(box):
    """In its label or in its ticks."""
    for axes in axes_of(box).values():
        for axis in (axes.xaxis, axes.yaxis):
            ticks = [label.get_text() for label in axis.get_ticklabels()]
            words = f"{axis.label.get_text()} {' '.join(ticks)}"
            assert any(unit in words for unit in ("op/s", "operations per byte", "KiB", "GB/s")), words


def test_sizes_are_told_as_makers_do():
    """Powers of two as they are, others with three digits."""
    told = [format_binary(size) for size in (64, 2048, 64 * 1024, 1.5 * 2**20, 2**30, 16 * 2**30)]
    assert told == ["64 B", "2 KiB", "64 KiB", "1.50 MiB", "1 GiB", "16 GiB"]


# ---- what there is of a device, and where it comes from ----


def test_a_device_without_a_curve_has_its_roofline_only():
    """As shipped: the Pi 5 reads 11.59 GB/s and has three peaks."""
    device = load_hardware("pi5-16gb")
    axes = axes_of(device)
    assert list(axes) == ["roofline"]
    roof = lines_of(axes["roofline"])["LPDDR4X-4267, 32 bit, 11.6 GB/s"]
    assert roof[0] == pytest.approx([0.25, 0.25 * 11.59e9])
    assert [ceiling.ops_per_s for ceiling in ceilings_of(device)] == pytest.approx([153.6e9, 307.2e9, 614.4e9])
    assert origin(device) == "bandwidth measured (llama.cpp-26484); peaks estimated (arm-a76-guide)"


def test_a_device_without_peaks_has_its_bandwidth_and_a_sentence(bare, tmp_path):
    """Level by level where no curve was measured: 100 GB/s up to 64 KiB with two threads, 10 from the last cache on."""
    axes = axes_of(bare)
    assert list(axes) == ["bandwidth"]
    line = lines_of(axes["bandwidth"])["2 threads"]
    assert line == pytest.approx(np.array([[4096, 100], [2**16, 100], [2**21, 10], [2**34, 10]]))
    told = write_plot(bare, tmp_path / "a.png")
    assert told == f"{tmp_path}/a.png: bandwidth of box; no peak is known, so the roofline is left out"


def test_title_source_and_version_stand_on_the_picture(box):
    """A dollar is a dollar, not the beginning of a formula."""
    texts = [text.get_text() for text in draw(box).texts]
    source = "bandwidth estimated, measured (profile); peaks measured (profile); last on 2026-11-23 05:01"
    assert texts[:2] == ["A box for $5 or $6", source]
    assert texts[2].startswith("roofcast 0.")


# ---- files ----


@pytest.mark.parametrize(
    ("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"), ("PNG", b"\x89PNG")]
)
def test_every_suffix_makes_its_kind_of_file(capsys, tmp_path, suffix, start):
    """Whole, alone in its folder, and the same when it is drawn again."""
    path = tmp_path / f"roofline.{suffix}"
    contents = []
    for _ in range(2):
        status, out, err = run(capsys, "show", "pi5-16gb", "--plot", str(path))
        assert (status, err) == (0, "")
        assert out.splitlines()[0] == "Raspberry Pi 5, 16 GB (CPU)"
        assert out.splitlines()[-1] == f"{path}: roofline of Raspberry Pi 5, 16 GB (CPU)"
        contents.append(path.read_bytes())
    assert contents[0].startswith(start)
    assert contents[0] == contents[1]
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_the_picture_is_not_blank(box, tmp_path):
    """Twelve inches wide; between a hundredth and a third of it is not white, and there are many colours."""
    write_plot(box, tmp_path / "a.png")
    pixels = imread(tmp_path / "a.png")[..., :3]
    assert pixels.shape[1] == 1800
    assert 0.01 < (pixels.min(axis=2) < 0.98).mean() < 0.33
    assert len(np.unique((pixels * 7).astype(int) @ [64, 8, 1])) > 20


def test_an_interrupted_drawing_leaves_the_old_file(box, tmp_path, monkeypatch):
    """The file is written once it is all there."""
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "encode", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_plot(box, path)
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "target", "message"),
    [
        ("pi5-16gb", "roofline.jpg", "--plot roofline.jpg: a picture ends in .png, .svg or .pdf"),
        ("pi5-16gb", "roofline", "--plot roofline: a picture ends in .png, .svg or .pdf"),
        ("pi5-16gb", "nowhere/a.png", "--plot nowhere/a.png: there is no folder nowhere"),
        ("pi5-16gb", " ", "--plot: nothing is given after it; leave it out for the default"),
        ("llama-3-8b", "a.png", "--plot: 'llama-3-8b' is no device, and only a device has a roofline; leave it out"),
        ("vllm", "a.png", "--plot: 'vllm' is no device, and only a device has a roofline; leave it out"),
        ("engine", "a.png", "--plot: 'engine' is no device, and only a device has a roofline; leave it out"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(capsys, tmp_path, monkeypatch, name, target, message):
    """Exit status 2, nothing on standard output, no file."""
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "show", name, "--plot", target) == (2, "", f"roofcast: {message}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_device_file_is_drawn_from_the_command(capsys, tmp_path):
    """One's own YAML, by both halves."""
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(MEASURED))
    _, out, _ = run(capsys, "show", str(tmp_path / "mine.yaml"), "--plot", str(tmp_path / "a.svg"))
    assert out.splitlines()[-1] == f"{tmp_path}/a.svg: roofline and bandwidth of A box for $5 or $6"


# ---- labels ----


def test_labels_are_moved_apart_around_where_they_should_stand():
    """Two of size 10 wanted at 50 and 52 stand 10 apart around 51; one at 80 stays; at the edge all are inside."""
    assert spread_apart([52, 80, 50], [10, 10, 10], 0, 100) == pytest.approx([56, 80, 46])
    assert spread_apart([99, 98], [10, 10], 0, 100) == pytest.approx([95, 85])
    assert spread_apart([], [], 0, 1) == []


@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(1, 60)), min_size=1, max_size=12))
def test_labels_never_overlap_and_stay_inside(labels):
    """Whatever is wanted, for any labels that fit: in order, apart by half of both sizes, within the ends."""
    wanted, sizes = [place for place, _ in labels], [size for _, size in labels]
    found = spread_apart(wanted, sizes, 0, 1000)
    order = sorted(range(len(wanted)), key=lambda number: wanted[number])
    for one, two in pairwise(order):
        assert found[two] - found[one] >= (sizes[one] + sizes[two]) / 2 - 1e-6
    assert all(size / 2 - 1e-6 <= place <= 1000 - size / 2 + 1e-6 for place, size in zip(found, sizes, strict=True))
