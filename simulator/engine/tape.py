"""The tape of one decode step: every layer, every matrix, the cache and the router, as phases of kernels and their tasks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

import numpy as np

from simulator.engine.column_matrix import ColumnMatrix
from simulator.engine.kernels.table import kernel, task
from simulator.engine.layout import QUANTISED_BLOCK, record_bytes
from simulator.engine.network import COMPONENTS, Network, value_width
from simulator.engine.team import Entry, Tape
from simulator.engine.weights import Matrix
from simulator.errors import InputError
from simulator.spec.layers.ffn import Experts
from simulator.spec.sparsity import Sparsity

Phase = list[Entry]


def step_tape(network: Network, target: str, sparsity: Sparsity | None = None) -> Tape:
    """The tape that decodes one token of each row; every address on it points into the network."""
    return Tape(_Assembler(network, target, sparsity).phases())


def _bits(value: float) -> int:
    """A float32 as it travels among integers."""
    return int(np.float32(value).view(np.int32))


class _Assembler:
    """Puts the phases together, layer by layer."""

    def __init__(self, network: Network, target: str, sparsity: Sparsity | None):
        self._network, self._target, self._sparsity = network, target, sparsity
        self._buffers, self._model, self._recipe = network.buffers, network.model, network.recipe
        self._n_claims = 0
        self._pending: dict[str, int] = {}  # what the last block put out, still to be added to x

    def phases(self) -> Iterator[Phase]:
        """Everything from the first norm to the logits."""
        for index, layer in enumerate(self._model.stack):
            yield from self._attention(index)
            yield from self._experts(index) if isinstance(layer.ffn, Experts) else self._dense(index)
        yield [self._prepare(self._vector(-1, "output_norm"))]
        matrices = self._network.loaded.matrices
        head = matrices.get((-1, "output"), matrices[-1, "token_embd"])
        yield [self._multiply(head, "h", "logits", "head")]

    # ---- where things are ----

    def _matrices(self, index: int, *roles: str) -> tuple[Matrix | ColumnMatrix, ...]:
        return tuple(self._network.loaded.matrices[index, role] for role in roles)

    def _vector(self, index: int, role: str) -> int:
        """The address of a vector; 0 if the model has none of that role."""
        found = self._network.loaded.vectors.get((index, role))
        return 0 if found is None else found.ctypes.data

    def _claim(self) -> int:
        self._n_claims += 1
        return self._buffers["claims"][self._n_claims - 1].ctypes.data

    def _counter(self, component: str) -> int:
        return self._buffers["read"][COMPONENTS.index(component)].ctypes.data

    def _scratch(self) -> dict[str, int]:
        return {"scratch": self._buffers.at("scratch"), "scratch_stride": self._buffers.stride("scratch")}

    def _rows(self, n_active: int, *, from_slots: bool) -> dict[str, int]:
        """Which rows meet which matrix: all of them the only one, or those of each expert."""
        at = self._buffers.at
        if not n_active:
            return {"groups": at("all"), "sources": at("each"), "targets": at("each")}
        return {"groups": at("groups"), "sources": at("slots" if from_slots else "tokens"), "targets": at("slots")}

    def _input(self, matrix: Matrix | ColumnMatrix, name: str) -> dict[str, int]:
        """Where a matrix finds its input: a list of what is not 0, int8 records, or float32."""
        if isinstance(matrix, ColumnMatrix):
            return {"input": self._buffers.at(f"{name}_lists"), "input_stride": list_stride(self._buffers, name)}
        if matrix.layout.is_quantised:
            return {"input": self._buffers.at(f"{name}_records"), "input_stride": record_bytes(matrix.columns)}
        return {"input": self._buffers.at(name), "input_stride": 4 * matrix.columns}

    # ---- matrices ----

    def _multiply(
        self,
        matrix: Matrix | ColumnMatrix,
        source: str,
        output: str,
        component: str,
        *,
        bias: int = 0,
        n_active: int = 0,
        from_slots: bool = False,
    ) -> Entry:
        """output = matrix * source (+ bias); with *n_active*, of the experts that the router chose."""
        fields = {
            **self._rows(n_active, from_slots=from_slots),
            **self._work(matrix, component),
            **self._input(matrix, source),
            "output": self._buffers.at(output),
            "output_stride": 4 * matrix.rows,
            "bias": bias,
        }
        if isinstance(matrix, ColumnMatrix):
            return Entry(kernel("columns", matrix.format, self._target), task("M", **fields), component)
        return Entry(kernel("matmul", matrix.layout.name, self._target), task("M", **fields), component)

    def _work(self, matrix: Matrix | ColumnMatrix, component: str) -> dict[str, int]:
        """What all matrix kernels need."""
        fields = {
            "weights": matrix.address,
            "rows": matrix.rows,
            "columns": matrix.columns,
            "expert_bytes": matrix.copy_bytes,
            "claimed": self._claim(),
            "read": self._counter(component),
            **self._scratch(),
        }
        if isinstance(matrix, ColumnMatrix):
            return fields | {"panel_bytes": matrix.tile_bytes, "tile": matrix.tile}
        return fields | {"panel_bytes": matrix.layout.panel_bytes(matrix.columns)}

    def _gated(
        self, gate: Matrix, up: Matrix, down: Matrix | ColumnMatrix, output: str, component: str, n_active: int
    ) -> Entry:
        """output = act(gate * h) * (up * h), in one go, as the matrix after it wants it."""
        if gate.layout.is_quantised != up.layout.is_quantised:
            raise InputError(f"a gate in {gate.layout.name} beside an up matrix in {up.layout.name} is not run")
        second = self._buffers.new(f"second_{gate.address}", (3,), np.int64)
        second[:] = up.address, up.layout.panel_bytes(up.columns), up.copy_bytes
        wants_records = isinstance(down, Matrix) and down.layout.is_quantised
        fields = task(
            "M",
            **self._rows(n_active, from_slots=False),
            **self._work(gate, component),
            **self._input(gate, "h"),
            second=second.ctypes.data,
            output=self._buffers.at(output),
            output_stride=4 * gate.rows,
            records=self._buffers.at(f"{output}_records") if wants_records else 0,
            record_stride=record_bytes(gate.rows),
            gelu=self._recipe.gelu,
        )
        return Entry(kernel("gated", gate.layout.name, up.layout.name, self._target), fields, component)

    def _feed_forward(
        self,
        parts: tuple[Matrix | ColumnMatrix, ...],
        roles: tuple[str, ...],
        hidden: str,
        output: str,
        component: str,
        n_active: int = 0,
    ) -> Iterator[Phase]:
        """output = down * (act(gate * h) * (up * h)), of one network or of the chosen experts."""
        gate, up, down = parts
        is_sparse = [isinstance(part, ColumnMatrix) for part in parts]
        if is_sparse[0] != is_sparse[1] or (is_sparse[0] and not is_sparse[2]):
            raise InputError("sparsity: the engine needs zeros in gate and up alike, and in down where those have any")
        select = {"per_row": max(1, n_active)}
        if is_sparse[0]:
            yield [
                self._multiply(gate, "h", f"{hidden}_gate", component, n_active=n_active),
                self._multiply(up, "h", hidden, component, n_active=n_active),
            ]
            select["gate"] = self._buffers.at(f"{hidden}_gate")
        else:
            yield [self._gated(gate, up, down, hidden, component, n_active)]
        yield from self._select(hidden, {roles[2]: down}, **select)
        yield [self._multiply(down, hidden, output, component, n_active=n_active, from_slots=True)]

    def _select(self, source: str, consumers: dict[str, Matrix | ColumnMatrix], **fields: int) -> Iterator[Phase]:
        """The list of the largest inputs, where the matrices that read them are packed by column."""
        sparse = {role: matrix for role, matrix in consumers.items() if isinstance(matrix, ColumnMatrix)}
        if not sparse:
            return
        shares = {self._sparsity.zeros(role) for role in sparse}
        if len(sparse) != len(consumers) or len(shares) > 1 or len({m.is_quantised for m in sparse.values()}) > 1:
            raise InputError(
                f"sparsity: {', '.join(consumers)} share their inputs, so their zeros and kinds must be equal"
            )
        first = next(iter(sparse.values()))
        numbers = task(
            "S",
            state=self._buffers.at("state"),
            width=first.columns,
            values=self._buffers.at(source),
            gelu=self._recipe.gelu,
            keep=max(1, round(first.columns * (1 - shares.pop()))),
            lists=self._buffers.at(f"{source}_lists"),
            list_stride=list_stride(self._buffers, source),
            is_float=not first.is_quantised,
            **self._scratch(),
            **({"per_row": 1} | fields),
        )
        yield [Entry(kernel("select"), numbers, "select")]

    # ---- blocks ----

    def _prepare(self, norm: int) -> Entry:
        """x += what the last block put out; h = norm(x)."""
        at = self._buffers.at
        numbers = task(
            "P",
            state=at("state"),
            width=self._model.d_model,
            x=at("x"),
            norm=norm,
            epsilon=_bits(self._recipe.epsilon),
            h=at("h"),
            records=at("h_records") if self._model.d_model % QUANTISED_BLOCK == 0 else 0,
            record_stride=record_bytes(self._model.d_model),
            **self._pending,
        )
        self._pending = {}
        return Entry(kernel("prepare"), numbers, "vectors")

    def _attention(self, index: int) -> Iterator[Phase]:
        roles = ("attn_q", "attn_k", "attn_v")
        projections = dict(zip(roles, self._matrices(index, *roles), strict=True))
        yield [self._prepare(self._vector(index, "attn_norm"))]
        yield from self._select("h", projections)
        yield [
            self._multiply(matrix, "h", role[-1], "attention", bias=self._vector(index, f"{role}.bias"))
            for role, matrix in projections.items()
        ]
        (out,) = self._matrices(index, "attn_output")
        shared = self._attention_fields(index, out)
        yield [Entry(kernel("store", self._network.cache), task("A", **shared), "store")]
        claims = task("A", **shared, claimed=self._claim())
        yield [Entry(kernel("attend", self._network.cache, self._target), claims, "cache")]
        yield [Entry(kernel("merge"), task("A", **shared), "merge")]
        yield from self._select("q", {"attn_output": out})
        yield [self._multiply(out, "q", "y", "attention", bias=self._vector(index, "attn_output.bias"))]
        self._pending = {"y": self._buffers.at("y"), "post_norm": self._vector(index, "post_attention_norm")}

    def _attention_fields(self, index: int, out: Matrix | ColumnMatrix) -> dict[str, int]:
        network, at = self._network, self._buffers.at
        a, angles = self._model.stack[index].attention, network.layer_angles[index]
        wants_records = isinstance(out, Matrix) and out.layout.is_quantised
        if wants_records and a.queries_per_kv * value_width(a) % QUANTISED_BLOCK:
            raise InputError(f"heads of width {value_width(a)} are not run with an output matrix in {out.layout.name}")
        number = network.angles.index(angles)
        return {
            **{name: at(name) for name in ("state", "positions", "newest", "sequences", "q", "k", "v", "turned")},
            **self._scratch(),
            "n_heads": a.n_heads,
            "n_kv": a.n_kv_heads,
            "head": a.head_dim,
            "value": value_width(a),
            "q_norm": self._vector(index, "attn_q_norm"),
            "k_norm": self._vector(index, "attn_k_norm"),
            "norm_width": 0 if a.qk_norm == "full" else a.head_dim,
            "epsilon": _bits(self._recipe.epsilon),
            "cos": at(f"cos_{number}"),
            "sin": at(f"sin_{number}"),
            "rotated": 2 * len(angles.frequencies),
            "halves": self._recipe.halves,
            "scale": _bits(self._recipe.attention_scale or a.head_dim**-0.5),
            "keys": at(f"keys_{index}"),
            "values": at(f"values_{index}"),
            "capacity": angles.capacity,
            "window": angles.window,
            "partial": at("partial"),
            "partial_stride": self._buffers.stride("partial"),
            "read": self._counter("cache"),
            "records": at("q_records") if wants_records else 0,
            "record_stride": record_bytes(a.n_heads * value_width(a)),
            "chunks": at(f"chunks_{number}"),
        }

    def _dense(self, index: int) -> Iterator[Phase]:
        roles = ("ffn_gate", "ffn_up", "ffn_down")
        parts = self._matrices(index, *roles)
        yield [self._prepare(self._vector(index, "ffn_norm"))]
        yield from self._select("h", dict(zip(roles[:2], parts[:2], strict=True)))
        yield from self._feed_forward(parts, roles, "hidden", "y", "ffn")
        self._pending = {"y": self._buffers.at("y"), "post_norm": self._vector(index, "post_ffw_norm")}

    def _experts(self, index: int) -> Iterator[Phase]:
        ffn, at = self._model.stack[index].ffn, self._buffers.at
        (router,) = self._matrices(index, "ffn_gate_inp")
        routed = ("ffn_gate_exps", "ffn_up_exps", "ffn_down_exps")
        shared = ("ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp") if ffn.d_shared else ()
        experts, extra = self._matrices(index, *routed), self._matrices(index, *shared)
        yield [self._prepare(self._vector(index, "ffn_norm"))]
        yield [self._multiply(router, "h", "router", "router")]
        yield [self._route(index, ffn)]
        yield from self._select("h", dict(zip((*routed[:2], *shared[:2]), (*experts[:2], *extra[:2]), strict=True)))
        both = [self._feed_forward(experts, routed, "expert_hidden", "expert_out", "experts", ffn.n_active)]
        if shared:
            both.append(self._feed_forward(extra, shared, "hidden", "y", "shared"))
        for phases in zip_longest(*both, fillvalue=[]):  # experts and shared ones side by side
            yield [entry for phase in phases for entry in phase]
        self._pending = {"slots": at("expert_out"), "n_slots": ffn.n_active, "slot_weights": at("slot_weights")}
        if shared:
            gated = ffn.shared_gate
            self._pending |= {"y": at("y"), "shared_scale": at("shared_scale") if gated else 0}

    def _route(self, index: int, ffn: Experts) -> Entry:
        at = self._buffers.at
        return Entry(
            kernel("route"),
            task(
                "R",
                **{
                    name: at(name)
                    for name in ("state", "forced", "groups", "tokens", "slots", "counts", "shared_scale")
                },
                logits=at("router"),
                n_experts=ffn.n_experts,
                n_active=ffn.n_active,
                renormalise=self._recipe.renormalise,
                scale=_bits(self._recipe.expert_scale),
                weights=at("slot_weights"),
                chosen=self._buffers["chosen"][index].ctypes.data,
                shared_gate=self._vector(index, "ffn_gate_inp_shexp"),
                input=at("h"),
                width=self._model.d_model,
            ),
            "route",
        )


def list_stride(buffers, name: str) -> int:
    """Bytes from one row's list to the next."""
    return buffers.stride(f"{name}_lists")
