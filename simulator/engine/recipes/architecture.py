"""How the files of one architecture are read: what is the same for most, to be overruled by those that differ."""

from __future__ import annotations

from simulator.engine.recipes.keys import Keys
from simulator.engine.recipes.recipe import NORMS, LayerRecipe, Recipe, Rotation, RouterRecipe
from simulator.engine.recipes.scaling import scaled
from simulator.engine.recipes.unread import GATING, NORM, NOT_ALWAYS_READ, SCALE, SIGMOID, SOFTMAX, notes_on_unread
from simulator.spec.layers.attention import GroupedQuery
from simulator.spec.layers.layer import Layer
from simulator.spec.model import Model

# Keys that change the arithmetic where an architecture goes by them.
UNUSUAL = (
    "attn_logit_softcapping", "final_logit_softcapping", "attention.clamp_kqv", "attention.max_alibi_bias",
    "attention.temperature_scale", "attention.scale", "logit_scale", "residual_scale", "embedding_scale", "rope.scaling.alpha",
)  # fmt: skip
RMS_EPSILON, EPSILON = "attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"

# Those whose matrices' results llama.cpp b11549 multiplies by the scales that files may have (of nvfp4), every one of them; in others
# it leaves some out.
WITH_SCALES = frozenset(
    ("llama", "qwen3", "qwen3moe", "mistral3", "cohere2", "qwen35", "qwen35moe", "mamba2", "nemotron_h", "nemotron_h_moe", "gemma4")
)  # fmt: skip


class Architecture:
    """One architecture's arithmetic, out of the keys of a file and the shapes of its model."""

    names: tuple[str, ...] = ()  # general.architecture
    halves = True  # the rotation's pairs; False for files whose converter permutes the rows of queries and keys
    activation = "silu"
    renormalise = True  # the chosen experts' shares, unless a key is read that says otherwise
    gating = (
        SOFTMAX  # how logits of the router become shares, where no key is read that says so; 0: nothing is known of it
    )
    norms = NORMS  # what files call the norms of a layer, by their place as in NORMS; "" where there is none
    turns = True  # heads turn with their position
    windows_have_base = False  # layers that see a window turn with a base of their own, where the file has one
    keys_in_turn = False  # value heads of delta nets are in an order in which their key heads repeat
    renamed: tuple[tuple[str, str], ...] = ()  # what files call a tensor that others call otherwise
    norm = "rms"
    bare_norms = is_parallel = norms_turned = False
    balances = False  # a bias beside the router takes part in the choice only
    read_keys: tuple[str, ...] = ()  # of those in UNUSUAL and NOT_ALWAYS_READ, the ones that this architecture goes by
    required: tuple[str, ...] = ()  # keys without which llama.cpp does not load a file, beside the one of the norms

    def __init__(self, keys: Keys, model: Model):
        self._all_keys, self.model = keys, model
        self.keys = keys.without(name for name in NOT_ALWAYS_READ if name not in self.read_keys)

    def recipe(self) -> Recipe:
        """The arithmetic; InputError if it is one that the engine does not have."""
        self.keys.refuse(*(key for key in UNUSUAL if key not in self.read_keys))
        self.keys.require(*self.required)
        router = self.router()
        return Recipe(
            layers=tuple(self.layer(index, layer) for index, layer in enumerate(self.model.stack)),
            epsilon=self.epsilon(),
            embedding_scale=self.embedding_scale(),
            activation=self.activation,
            router=router,
            norms=self.norms,
            norm=self.norm,
            bare_norms=self.bare_norms,
            is_parallel=self.is_parallel,
            norms_turned=self.norms_turned,
            keys_in_turn=self.keys_in_turn,
            renamed=self.renamed,
            notes=notes_on_unread(self._all_keys, self.read_keys, self.model, router),
            scaled=self.keys.architecture in WITH_SCALES,
        )

    def epsilon(self) -> float:
        """Of norms; InputError where the file does not say it."""
        name = RMS_EPSILON if self.norm == "rms" else EPSILON
        self.keys.require(name)
        return self.keys.number(name, 0.0)

    def layer(self, index: int, layer: Layer) -> LayerRecipe:
        """What layer number *index* has of its own."""
        return LayerRecipe(self.rotation(index, layer), self.attention_scale(layer))

    def rotation(self, index: int, layer: Layer) -> Rotation | None:  # noqa: ARG002
        """How a layer's heads turn."""
        if not self.turns or not isinstance(layer.attention, GroupedQuery):
            return None
        mixers = [each.attention for each in self.model.stack]
        head_dim = min(each.head_dim for each in mixers if isinstance(each, GroupedQuery))
        found = Rotation(
            base=self._base(layer.attention),
            rotated=self.keys.rotated(head_dim),
            halves=self.halves,
        )
        return scaled(found, self.keys, self.model)

    def _base(self, attention: GroupedQuery) -> float:
        """Of all layers, or of those that see a window."""
        found = self.keys.positive("rope.freq_base", 10_000.0)
        has_own = attention.window and self.windows_have_base
        return self.keys.positive("rope.freq_base_swa", found) if has_own else found

    def attention_scale(self, layer: Layer) -> float | None:  # noqa: ARG002
        """What scores are multiplied by; None for the usual head_dim ** -0.5."""
        return None

    def embedding_scale(self) -> float:
        """What rows of the embedding are multiplied by."""
        return 1.0

    def router(self) -> RouterRecipe:
        """How experts are chosen and weighed."""
        gating = self.keys.number(GATING, self.gating) or self.gating
        if gating not in (SOFTMAX, SIGMOID):
            raise self.keys.wrong(GATING, f"; the engine runs {SOFTMAX} (softmax) and {SIGMOID} (sigmoid)")
        return RouterRecipe(
            renormalise=self.keys.flag(NORM, self.renormalise),
            scale=self.keys.number(SCALE, 1.0) or 1.0,
            sigmoid=gating == SIGMOID,
            balances=self.balances,
            n_bands=max(1, int(self.keys.number("expert_group_count", 1))),
            n_bands_used=max(1, int(self.keys.number("expert_group_used_count", 1))),
        )
