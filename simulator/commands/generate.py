"""The command `generate`: its options."""

from __future__ import annotations

from typing import Any

from simulator.commands.line import options
from simulator.commands.line.parser import argument, flag, option, subcommand, target
from simulator.commands.line.values import number, whole_number


@subcommand("generate")
@argument("model", "GGUF file; or a name or YAML, which gets random weights.")
@option("--prompt", help="Text to go on from.")
@option("--tokens", "n_tokens", type=whole_number, metavar="INTEGER", default=64, help="How many to generate, at most.")
@options.threads_here
@option("--context", type=whole_number, metavar="INTEGER", help="Room for so many tokens. [default: what is needed]")
@option(
    "--temperature",
    type=number,
    metavar="FLOAT",
    default=0.0,
    help="0 takes the likeliest token, 1 draws as the model says.",
)
@option("--seed", type=whole_number, metavar="INTEGER", default=0, help="Of the drawing, and of random weights.")
@flag("--chat", help="Put the prompt into the model's chat template.")
@option("--weights", help="Format of random weights. [default: q8_0]")
@option("--cache", default="f16", help="Format of the cache: f16, f32, q8_0 or q4_0.")
@option(
    "--ubatch",
    type=whole_number,
    metavar="INTEGER",
    default=16,
    help="Tokens of the prompt that go through the weights together.",
)
@option(
    "--speculate",
    metavar="ngram:K",
    help="Verify K drafted tokens a step, fewer than --ubatch: what followed these tokens before.",
)
@option(
    "--experts-in", "experts_in", metavar="DIR", help="Keep experts in a file there, and read them as they are chosen."
)
@option("--convert", help="Turn tensors of other formats into this one, such as q8_0.")
@option(
    "--routing",
    default="own",
    help="Who picks experts: own (the router), uniform, zipf:1.2, FILE.jsonl (as recorded), FILE.json, FILE.csv.",
)
@target("--record-routing", help="Write which experts the router picks, layer by layer, to a .jsonl.")
@options.json_file
def command(**asked: Any) -> None:
    """Decode real tokens with the engine, and say how fast."""
    texts = ("weights", "cache", "convert", "routing", "record_routing", "speculate", "experts_in", "json")
    options.refuse_empty({name.replace("_", "-"): asked[name] for name in texts})
    from simulator.commands.generation import Request, run  # with it comes numba

    run(Request(**asked))
