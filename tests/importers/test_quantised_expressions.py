"""Regular expressions of checkpoints: what Python's own find, in steps that grow with the pattern and not with its choices."""

import re

import pytest

from simulator.importers.quantised.expressions import Effort, Expression, TooLong

NAMES = (
    "",
    "layers",
    "model.layers.10.mlp.experts.0.down_proj",
    "model.layers.3.self_attn.q_proj",
    "lm_head",
    "aab",
    "a{2}",
)
PATTERNS = (
    ".*self_attn.*", r"model\.layers\.(0|3|10)\..*", "^(?!.*experts).*_proj$", "(?:lm_head|layers)", "a{2}b", "a{,1}ab", "a{", "(a|aa)+b",
    r".*\.\d+\..*_proj", ".*[^a-z.]", r".*\bmlp\b", "(?=model).*(?<=experts)", ".*(?<!q)_proj", "(?i)LM_.*", "",
    "x|", "(?P<n>l)m", "[]a]+b",
    "(a?){4}b", "(a*)*b", "((a|b)*|l)*m", r"a\{2", "l.*?h", "(|a)+b", "(ab?){2,3}$", r".*\x30\.",
)  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_an_expression_matches_what_python_says(pattern):
    """At the beginning of a name, whatever follows."""
    expected = [bool(re.match(pattern, name)) for name in NAMES]
    assert [Expression(pattern).matches(name, Effort()) for name in NAMES] == expected


@pytest.mark.parametrize(
    "pattern",
    ["(.|..)*!", "(.|..|...)*!", "(l|la|a|ay|y|.|er)*!", "(a+)+$", "((.*)*)*!", "(.*.*.*.*)*!", "(a?){1000000000}b"],
)
def test_choices_that_lead_to_the_same_place_are_followed_once(pattern):
    """Ten times the name takes at most a hundred times the steps."""
    steps = []
    for name in ("layer" * 10, "layer" * 100):
        effort = Effort()
        assert not Expression(pattern).matches(name, effort)
        steps.append(effort.n_steps)
    assert steps[1] < 110 * steps[0] + 100


def test_more_steps_than_anybody_waits_for_end():
    """Counted, so that a slow machine reads what a fast one does."""
    expression, effort = Expression("(.(?!.*(.|..)*!))*!"), Effort()
    with pytest.raises(TooLong):
        expression.matches("layer" * 1_000, effort)
