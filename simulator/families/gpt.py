"""GPT-2 and its descendants: learned positions, layer norms with biases, two matrices in the network."""

from __future__ import annotations

from simulator.families.family import Family


class Gpt2(Family):
    """GPT-2."""

    types = ("gpt2",)
    tied = True
    plain_ffn = ffn_bias = norm_bias = qkv_bias = output_bias = learned_positions = True


class Starcoder2(Family):
    """StarCoder 2: layer norms, two matrices in the network, biases as use_bias says."""

    types = ("starcoder2",)
    tied = plain_ffn = norm_bias = uses_window = True

    @property
    def _bias(self) -> bool:
        return self.config.flag("use_bias")

    def grouped_query(self, index, **more):
        """Biases as use_bias says."""
        return super().grouped_query(index, **{"qkv_bias": self._bias, "output_bias": self._bias, **more})

    def dense(self, index, **more):
        """Biases as use_bias says."""
        return super().dense(index, **{"bias": self._bias, **more})
