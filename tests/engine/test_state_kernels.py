"""The kernels of layers with a state, step by step, against the reference; and that no bit depends on how a sequence is cut."""

import naive_recurrent
import numpy as np
import pytest

from simulator.engine.kernels.table import kernel, task
from simulator.engine.layout import record_bytes
from simulator.engine.memory import aligned
from simulator.engine.team import Entry, Tape, Team

CHANNELS, WIDTH = 160, 4
KEYS, VALUES, KEY, VALUE = 2, 6, 12, 32
HEADS, HEAD, GROUPS, D_STATE = 8, 48, 2, 10
EPSILON = 1e-5

# What of two sequences of 11 and 5 tokens stands in each step: all at once, one by one, and mixed.
CUTS = {
    "together": [[0] * 11 + [1] * 5],
    "one by one": [[0, 1]] * 5 + [[0]] * 6,
    "mixed": [[0, 0, 1, 0], [1], [0, 1, 0, 0, 1, 0, 0, 1], [0, 0, 0]],
}


class Layer:
    """One kernel with its state and buffers."""

    def __init__(self, team, name, letter, rows, values, width_out, **fields):
        """*values*: numbers in a sequence's state; *fields*: numbers, or arrays for their addresses."""
        self.team, self.rows = team, rows
        self.held = {
            "runs": np.zeros(1 + 2 * rows, np.int64),
            "run_rows": np.zeros(rows, np.int64),
            "sequences": np.zeros(rows, np.int64),
            "positions": np.zeros(rows, np.int64),
            "states": np.full((2, values), 3.5, np.float32),  # what was there before counts for nothing
            "output": np.zeros((rows, width_out), np.float32),
            "records": aligned(rows * record_bytes(width_out)).reshape(rows, -1),
            "claimed": np.zeros(8, np.int64),
            "read": np.zeros((team.n_threads, 8), np.int64),
            **{name: field for name, field in fields.items() if isinstance(field, np.ndarray)},
        }
        numbers = {name: field for name, field in fields.items() if not isinstance(field, np.ndarray)}
        numbers |= {name: array.ctypes.data for name, array in self.held.items()}
        numbers |= {"state_stride": 4 * values, "record_stride": record_bytes(width_out)}
        self.tape = Tape([[Entry(kernel(name), task(letter, **numbers))]])

    def step(self, sequences, positions):
        """One step of these rows; the output's rows."""
        held, sequences = self.held, np.array(sequences)
        held["sequences"][: len(sequences)], held["positions"][: len(sequences)] = sequences, positions
        rows = [np.flatnonzero(sequences == each) for each in dict.fromkeys(sequences.tolist())]
        held["runs"][0] = len(rows)
        held["runs"][1 : 1 + 2 * len(rows)] = np.array(
            [(sum(map(len, rows[:number])), len(each)) for number, each in enumerate(rows)]
        ).reshape(-1)
        held["run_rows"][: len(sequences)] = np.concatenate(rows)
        held["claimed"][:], held["read"][:] = 0, 0
        self.team.run(self.tape)
        return held["output"][: len(sequences)].copy()


def through(layer, inputs, cut):
    """Outputs of each sequence: *inputs* by the name of a buffer, for each sequence its rows."""
    done, found = [0, 0], [[], []]
    for sequences in CUTS[cut]:
        positions = []
        for row, sequence in enumerate(sequences):
            for name, rows in inputs.items():
                layer.held[name][row] = rows[sequence][done[sequence]]
            positions.append(done[sequence])
            done[sequence] += 1
        for sequence, out in zip(sequences, layer.step(sequences, positions), strict=True):
            found[sequence].append(out)
    return [np.array(each) for each in found]


def two_sequences(draw, width):
    """Inputs of 11 and 5 tokens."""
    return [draw.standard_normal((n, width)).astype(np.float32) for n in (11, 5)]


def check_cuts(make, inputs, expected, tolerance, states):
    """Every cut and number of threads: close to what is expected, all alike to the bit, and counted: the states in and out, once each."""
    seen = set()
    for cut in CUTS:
        for threads in (1, 2, 3):
            team = Team(threads)
            layer = make(team)
            found = np.concatenate(through(layer, inputs, cut))
            n_sequences = len(set(CUTS[cut][-1]))
            assert layer.held["read"].sum() == n_sequences * 2 * 4 * states
            team.close()
            assert np.abs(found - np.concatenate(expected)).max() < tolerance
            seen.add(found.tobytes())
    assert len(seen) == 1


# ---- convolutions ----


@pytest.mark.parametrize("width", [2, 3, 4])
@pytest.mark.parametrize("has_bias", [False, True])
def test_a_convolution_sees_the_last_tokens_of_its_sequence(draw, width, has_bias):
    """silu of the weighted sum of as many tokens, of which those before the first are 0."""
    weights = draw.standard_normal((width, CHANNELS)).astype(np.float32)
    bias = draw.standard_normal(CHANNELS).astype(np.float32)
    inputs = two_sequences(draw, CHANNELS)
    added = bias.astype(np.float64) if has_bias else 0.0
    expected = [
        naive_recurrent.silu(naive_recurrent.convolution(rows.astype(np.float64), weights.T.astype(np.float64), added))
        for rows in inputs
    ]

    def make(team):
        """A layer of its own for each cut."""
        return Layer(
            team, "convolve", "C", 16, (width - 1) * CHANNELS, CHANNELS, input=np.zeros((16, CHANNELS), np.float32),
            input_stride=4 * CHANNELS, channels=CHANNELS, width=width, weights=weights,
            output_stride=4 * CHANNELS, **({"bias": bias} if has_bias else {}),
        )  # fmt: skip

    check_cuts(make, {"input": inputs}, expected, 5e-6, (width - 1) * CHANNELS)


def test_a_short_convolution_has_a_gate_before_and_one_after(draw):
    """Of b, c and x: c times the convolution of b times x."""
    weights = draw.standard_normal((3, CHANNELS)).astype(np.float32)
    inputs = two_sequences(draw, 3 * CHANNELS)
    expected = []
    for rows in inputs:
        before, after, x = rows.astype(np.float64).reshape(len(rows), 3, -1).transpose(1, 0, 2)
        expected.append(after * naive_recurrent.convolution(before * x, weights.T.astype(np.float64)))

    def make(team):
        """A layer of its own for each cut."""
        return Layer(
            team, "convolve", "C", 16, 2 * CHANNELS, CHANNELS, input=np.zeros((16, 3 * CHANNELS), np.float32),
            input_stride=12 * CHANNELS, channels=CHANNELS, width=3, weights=weights, gated=1,
            output_stride=4 * CHANNELS,
        )  # fmt: skip

    check_cuts(make, {"input": inputs}, expected, 5e-6, 2 * CHANNELS)


# ---- states ----


@pytest.mark.parametrize("tiled", [False, True])
def test_the_delta_rule_is_the_references(draw, tiled):
    """Six value heads of two key heads, beside each other or in turn; steps and decays mixed by key head, as in Qwen3-Next."""
    width = 2 * KEYS * KEY + VALUES * VALUE
    mixed, gates, steps = (two_sequences(draw, each) for each in (width, VALUES * VALUE, 2 * VALUES))
    a, dt = -draw.uniform(0.1, 3, VALUES).astype(np.float32), draw.standard_normal(VALUES).astype(np.float32)
    weight = draw.uniform(0.5, 2, VALUE).astype(np.float32)
    per = VALUES // KEYS
    expected = []
    for sequence in range(2):
        out = []
        for head in range(VALUES):
            own = head % KEYS if tiled else head // per
            rows = mixed[sequence].astype(np.float64)
            queries, keys = (rows[:, (which * KEYS + own) * KEY :][:, :KEY] for which in (0, 1))
            place = head // per * 2 * per + head % per
            beta, alpha = steps[sequence][:, place].astype(float), steps[sequence][:, place + per].astype(float)
            read = naive_recurrent.gated_delta_rule(
                np.array([naive_recurrent.unit(x, EPSILON) for x in queries]) / KEY**0.5,
                np.array([naive_recurrent.unit(x, EPSILON) for x in keys]),
                rows[:, 2 * KEYS * KEY + head * VALUE :][:, :VALUE],
                [np.exp(a[head] * naive_recurrent.softplus(each + dt[head])) for each in alpha],
                naive_recurrent.sigmoid(beta),
            )
            normed = [naive_recurrent.rms_norm(x, weight, EPSILON) for x in read]
            out.append(normed * naive_recurrent.silu(gates[sequence][:, head * VALUE :][:, :VALUE].astype(float)))
        expected.append(np.concatenate(out, axis=1))

    def make(team):
        """A layer of its own for each cut."""
        steps_of_rows = np.zeros((16, 2 * VALUES), np.float32)
        layer = Layer(
            team, "delta_rule", "D", 16, VALUES * KEY * VALUE, VALUES * VALUE,
            mixed=np.zeros((16, width), np.float32), mixed_stride=4 * width,
            gate=np.zeros((16, VALUES * VALUE), np.float32), beta=steps_of_rows,
            alpha=steps_of_rows.reshape(-1)[per:], step_stride=8 * VALUES, per=per, every=2 * per,
            n_keys=KEYS, n_values=VALUES, key=KEY, value=VALUE, tiled=tiled, dt=dt, a=a, norm=weight,
            epsilon=int(np.float32(EPSILON).view(np.int32)),
            scratch=aligned(team.n_threads * 1024).reshape(team.n_threads, -1), scratch_stride=1024,
        )  # fmt: skip
        layer.held["steps"] = steps_of_rows
        return layer

    check_cuts(make, {"mixed": mixed, "gate": gates, "steps": steps}, expected, 2e-5, VALUES * KEY * VALUE)


def test_the_scan_is_the_references(draw):
    """Eight heads in two groups; a row of what is made is gate, the convolution's inputs and steps."""
    inner, n_made = HEADS * HEAD, 2 * HEADS * HEAD + 2 * GROUPS * D_STATE + HEADS
    width = inner + 2 * GROUPS * D_STATE
    mixed, made = two_sequences(draw, width), two_sequences(draw, n_made)
    a, dt, skip = -draw.uniform(0.1, 3, HEADS), draw.standard_normal(HEADS), draw.standard_normal(HEADS)
    a, dt, skip = (each.astype(np.float32) for each in (a, dt, skip))
    expected = []
    for rows, others in zip(mixed, made, strict=True):
        rows, others, out = rows.astype(np.float64), others.astype(np.float64), []
        entering, leaving = rows[:, inner:].reshape(len(rows), 2, GROUPS, D_STATE).transpose(1, 2, 0, 3)
        for head in range(HEADS):
            steps = [naive_recurrent.softplus(x + dt[head]) for x in others[:, n_made - HEADS + head]]
            group = head // (HEADS // GROUPS)
            x = rows[:, head * HEAD :][:, :HEAD]
            read = naive_recurrent.selective_scan(x, entering[group], leaving[group], steps, a[head], skip[head])
            out.append(read * naive_recurrent.silu(others[:, head * HEAD :][:, :HEAD]))
        expected.append(np.concatenate(out, axis=1))

    def make(team):
        """A layer of its own for each cut."""
        gate = np.zeros((16, n_made), np.float32)
        return Layer(
            team, "scan", "H", 16, inner * D_STATE, inner, mixed=np.zeros((16, width), np.float32),
            mixed_stride=4 * width, gate=gate, step=gate.reshape(-1)[n_made - HEADS :], made_stride=4 * n_made,
            n_heads=HEADS, head=HEAD, n_groups=GROUPS, d_state=D_STATE, dt=dt, a=a, skip=skip,
            scratch=aligned(team.n_threads * 1024).reshape(team.n_threads, -1), scratch_stride=1024,
        )  # fmt: skip

    check_cuts(make, {"mixed": mixed, "gate": made}, expected, 2e-5, inner * D_STATE)


def test_groups_are_normed_each_by_itself(team, draw):
    """Two groups of 192 channels of three rows, over their root mean square; without weights they stay as they are."""
    values = draw.standard_normal((3, HEADS * HEAD)).astype(np.float32)
    weights = draw.uniform(0.5, 2, HEADS * HEAD).astype(np.float32)
    for norm in (weights, None):
        out, state = values.copy(), np.array([3])
        records = aligned(3 * record_bytes(values.shape[1])).reshape(3, -1)
        numbers = task(
            "H", state=state.ctypes.data, n_heads=HEADS, head=HEAD, n_groups=GROUPS, output=out.ctypes.data,
            norm=0 if norm is None else norm.ctypes.data, epsilon=int(np.float32(EPSILON).view(np.int32)),
            records=records.ctypes.data, record_stride=records.shape[1],
        )  # fmt: skip
        team.run(Tape([[Entry(kernel("norm_groups"), numbers)]]))
        grouped = values.astype(np.float64).reshape(3, GROUPS, -1)
        expected = grouped / np.sqrt(np.mean(grouped**2, axis=2, keepdims=True) + EPSILON)
        expected = values if norm is None else expected.reshape(3, -1) * weights
        assert out == pytest.approx(expected, abs=5e-6)
        assert np.array_equal(records[:, :32].view(np.int8), rounded(out[:, :32]))


def test_gates_of_attention_are_taken_apart_and_applied(team, draw):
    """Of two heads of 32 each query is copied, and each output times the sigmoid of its gate, also as int8."""
    both = draw.standard_normal((3, 2, 2, 32)).astype(np.float32)
    queries, out = np.zeros((3, 2, 32), np.float32), draw.standard_normal((3, 2, 32)).astype(np.float32)
    before, state, records = out.copy(), np.array([3]), aligned(3 * record_bytes(64)).reshape(3, -1)
    numbers = task(
        "G", state=state.ctypes.data, both=both.ctypes.data, n_heads=2, head=32, queries=queries.ctypes.data,
        output=out.ctypes.data, records=records.ctypes.data, record_stride=records.shape[1],
    )  # fmt: skip
    team.run(Tape([[Entry(kernel("take_apart"), numbers)], [Entry(kernel("gate_heads"), numbers)]]))
    assert np.array_equal(queries, both[:, :, 0])
    assert out == pytest.approx(before / (1 + np.exp(-both[:, :, 1].astype(np.float64))), abs=1e-6)
    assert np.array_equal(records[:, :32].view(np.int8), rounded(out.reshape(3, -1)[:, :32]))


def rounded(block):
    """A block of 32 as whole multiples of the largest / 127."""
    steps = block.astype(np.float64) / np.abs(block).max(axis=1, keepdims=True) * 127
    return np.trunc(steps + np.where(steps >= 0, 0.5, -0.5)).astype(np.int8)
