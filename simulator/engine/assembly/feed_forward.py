"""The feed-forward half of a layer: one gated network, or those experts that a router chooses beside shared ones."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from itertools import zip_longest

import numpy as np

from simulator.engine.assembly.kind import Kind
from simulator.engine.assembly.parts import Parts, Phase, bits, split
from simulator.engine.column_matrix import ColumnMatrix
from simulator.engine.kernels.table import kernel, task
from simulator.engine.team import Entry
from simulator.engine.weights import Matrix
from simulator.errors import InputError
from simulator.spec.layers.ffn import Experts, Gated, Plain

_ROLES = ("ffn_gate", "ffn_up", "ffn_down")


def _gated_network(
    parts: Parts,
    matrices: tuple[Matrix | ColumnMatrix, ...],
    roles: tuple[str, ...],
    hidden: str,
    output: str,
    component: str,
    n_active: int = 0,
    biases: tuple[int, int, int] = (0, 0, 0),
    source: str = "h",
) -> Iterator[Phase]:
    """output = down * (act(gate * source) * (up * source)), with biases where there are any, of one network or of the chosen experts."""
    gate, up, down = matrices
    is_sparse = [isinstance(matrix, ColumnMatrix) for matrix in matrices]
    if is_sparse[0] != is_sparse[1] or (is_sparse[0] and not is_sparse[2]):
        raise InputError("sparsity: the engine needs zeros in gate and up alike, and in down where those have any")
    select = {"per_row": max(1, n_active)}
    if is_sparse[0]:
        yield [
            parts.multiply(gate, source, f"{hidden}_gate", component, n_active=n_active, bias=biases[0]),
            parts.multiply(up, source, hidden, component, n_active=n_active, bias=biases[1]),
        ]
        select["gate"] = parts.buffers.at(f"{hidden}_gate")
    else:
        yield [parts.gated(gate, up, down, hidden, component, source=source, n_active=n_active, biases=biases[:2])]
    yield from parts.select(hidden, {roles[2]: down}, **select)
    yield [parts.multiply(down, hidden, output, component, n_active=n_active, from_slots=True, bias=biases[2])]


def _plain_network(
    parts: Parts,
    matrices: tuple[Matrix | ColumnMatrix, ...],
    roles: tuple[str, ...],
    hidden: str,
    output: str,
    component: str,
    n_active: int = 0,
    biases: tuple[int, ...] = (0, 0),
) -> Iterator[Phase]:
    """output = down * act(up * h), each with its bias where it has one, of one network or of the chosen experts."""
    up, down = matrices
    if isinstance(up, ColumnMatrix):
        raise InputError(
            f"sparsity: the engine skips no inputs of {roles[0]} in networks without a gate; leave those dense"
        )
    yield [parts.activated(up, down, hidden, component, n_active=n_active, bias=biases[0])]
    yield from parts.select(hidden, {roles[1]: down}, per_row=max(1, n_active))
    yield [parts.multiply(down, hidden, output, component, n_active=n_active, from_slots=True, bias=biases[1])]


def _norm_before(parts: Parts, index: int) -> str:
    """The norm before a layer's network: the second, or the first where nothing else stands in the layer."""
    return parts.recipe.norms[1 if parts.model.stack[index].attention else 0]


class DenseFeedForward(Kind):
    """Layers with one network for all tokens, with a gate or without."""

    def __init__(self, network, layers):
        super().__init__(network, layers)
        self._ffn: dict[int, Gated | Plain] = {index: network.model.stack[index].ffn for index in layers}

    def allocate(self) -> None:
        """What is between up and down; and what it puts out beside attention, where both read the same."""
        rows = self.network.limits.rows
        self.network.activations("hidden", rows, max(32, *(ffn.d_ff for ffn in self._ffn.values())))
        if self.network.recipe.is_parallel:
            self.network.buffers.new("beside", (rows, self.network.model.d_model))

    def phases(self, parts: Parts, index: int) -> Iterator[Phase]:
        """From the norm before it to what is still to be added to the residual stream."""
        at, before, after = parts.buffers.at, _norm_before(parts, index), parts.recipe.norms[3]
        if not parts.recipe.is_parallel:
            yield [parts.prepare(index, before)]
            yield from self._network(parts, index, "y")
            parts.pending = {"y": at("y"), "post_norm": parts.vector(index, after)}
            return
        of_attention = parts.pending
        if before:
            parts.pending = {}
            yield [parts.prepare(index, before)]
        yield from self._network(parts, index, "beside")
        parts.pending = of_attention | {"also": at("beside")}

    def _network(self, parts: Parts, index: int, output: str) -> Iterator[Phase]:
        ffn, biases = self._ffn[index], tuple(parts.vector(index, f"{role}.bias") for role in _ROLES)
        if isinstance(ffn, Plain):
            roles = _ROLES[1:]
            yield from _plain_network(
                parts, parts.matrices(index, *roles), roles, "hidden", output, "ffn", biases=biases[1:]
            )
            return
        if ffn.fused:
            whole, down = parts.matrices(index, *_ROLES[1:])
            matrices = (*split(whole, "ffn_up", (ffn.d_ff, ffn.d_ff)), down)
        else:
            matrices = parts.matrices(index, *_ROLES)
        yield from parts.select("h", dict(zip(_ROLES[:2], matrices[:2], strict=True)))
        yield from _gated_network(parts, matrices, _ROLES, "hidden", output, "ffn", biases=biases)


def _asked(parts: Parts, index: int, experts: tuple[Matrix | ColumnMatrix, ...]) -> Iterator[Entry]:
    """What asks for the chosen experts of a layer where they lie in a file."""
    if parts.network.loaded.mapped is None:
        return
    places = parts.buffers.new(f"places_{index}", (len(experts), 2), np.int64)
    places[:] = [(matrix.address, matrix.copy_bytes) for matrix in experts]
    numbers = {"groups": parts.buffers.at("groups"), "places": places.ctypes.data, "n_matrices": len(experts)}
    yield Entry(kernel("ask"), task("Q", **numbers, page=mmap.PAGESIZE), "route")


class Mixture(Kind):
    """Layers with experts."""

    def __init__(self, network, layers):
        super().__init__(network, layers)
        self._experts: dict[int, Experts] = dict(network.expert_layers())

    def allocate(self) -> None:
        """What routers choose, and what is between up and down of the experts that they chose and of shared ones."""
        network, new, experts = self.network, self.network.buffers.new, self._experts.values()
        rows = network.limits.rows
        slots, most = rows * max(ffn.n_active for ffn in experts), max(ffn.n_experts for ffn in experts)
        network.activations("expert_hidden", slots, max(ffn.d_expert for ffn in experts))
        network.activations("shared_hidden", rows, max(32, *(ffn.d_shared for ffn in experts)))
        new("expert_out", (slots, network.model.d_model))
        new("router", (rows, most))
        new("router_scores", (2, most))
        new("forced", (8,), np.int64)
        new("groups", (1 + 3 * most,), np.int64)
        new("counts", (most,), np.int64)
        for name in ("tokens", "slots"):
            new(name, (slots,), np.int64)
        new("chosen", (len(network.model.stack), slots), np.int64)
        new("slot_weights", (slots,))
        new("shared_scale", (rows,))

    def phases(self, parts: Parts, index: int) -> Iterator[Phase]:
        """From the norm before it to what is still to be added to the residual stream."""
        yield [parts.prepare(index, _norm_before(parts, index))]
        yield from self.mixed(parts, index)
        ffn, at = self._experts[index], parts.buffers.at
        parts.pending = {"slots": at("expert_out"), "n_slots": ffn.n_active, "slot_weights": at("slot_weights")}
        if ffn.d_shared:
            parts.pending |= {"y": at("y"), "shared_scale": at("shared_scale") if ffn.shared_gate else 0}

    def mixed(self, parts: Parts, index: int, to_router: str = "h", to_experts: str = "h") -> Iterator[Phase]:
        """From what a router and experts read to what each expert puts out (`expert_out`) and shared ones, which read h (`y`)."""
        ffn = self._experts[index]
        (router,) = parts.matrices(index, "ffn_gate_inp")
        network, roles = (_gated_network, _ROLES) if ffn.gated else (_plain_network, _ROLES[1:])
        routed = tuple(f"{role}_exps" for role in roles)
        shared = tuple(f"{role}_shexp" for role in roles) if ffn.d_shared else ()
        (experts, biases), extra = self._routed(parts, index, routed), parts.matrices(index, *shared)
        bias = parts.vector(index, "ffn_gate_inp.bias")
        balances = ffn.balance or parts.recipe.router.balances
        yield [parts.multiply(router, to_router, "router", "router", bias=0 if balances else bias)]
        yield [self._route(parts, index, ffn, bias if balances else 0), *_asked(parts, index, experts)]
        read = {to_experts: dict(zip(routed[:-1], experts[:-1], strict=True))}
        read["h"] = read.get("h", {}) | dict(zip(shared[:-1], extra[:-1], strict=True))
        for source, consumers in read.items():
            yield from parts.select(source, consumers)
        more = {} if to_experts == "h" else {"source": to_experts}
        both = [network(parts, experts, routed, "expert_hidden", "expert_out", "experts", ffn.n_active, biases, **more)]
        if shared:
            both.append(network(parts, extra, shared, "shared_hidden", "y", "shared"))
        for phases in zip_longest(*both, fillvalue=[]):  # experts and shared ones side by side
            yield [entry for phase in phases for entry in phase]

    def _routed(
        self, parts: Parts, index: int, roles: tuple[str, ...]
    ) -> tuple[tuple[Matrix | ColumnMatrix, ...], tuple[int, ...]]:
        """The matrices of all experts, and the addresses of their biases, which those of one matrix have not."""
        ffn = self._experts[index]
        if not ffn.fused:
            return parts.matrices(index, *roles), tuple(parts.vector(index, f"{role}.bias") for role in roles)
        whole, down = parts.matrices(index, "ffn_gate_up_exps", roles[2])
        return (*split(whole, "ffn_gate_up_exps", (ffn.d_expert, ffn.d_expert)), down), (0, 0, 0)

    def _route(self, parts: Parts, index: int, ffn: Experts, balance: int) -> Entry:
        at, recipe = parts.buffers.at, parts.recipe.router
        if ffn.n_experts % recipe.n_bands or recipe.n_bands_used > recipe.n_bands:
            raise InputError(
                f"{parts.model.name}: {ffn.n_experts} experts in {recipe.n_bands} groups, of which {recipe.n_bands_used} are used, "
                "is no choice that can be made"
            )
        by_shares = recipe.sigmoid or balance or recipe.n_bands > 1
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
                renormalise=recipe.renormalise,
                scale=bits(recipe.scale),
                weights=at("slot_weights"),
                chosen=parts.buffers["chosen"][index].ctypes.data,
                shared_gate=parts.vector(index, "ffn_gate_inp_shexp"),
                input=at("h"),
                width=parts.model.d_model,
                sigmoid=recipe.sigmoid,
                balance=balance,
                n_bands=recipe.n_bands,
                n_bands_used=recipe.n_bands_used,
                scores=at("router_scores") if by_shares else 0,
            ),
            "route",
        )
