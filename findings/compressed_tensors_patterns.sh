#!/usr/bin/env bash
# compressed-tensors 0.20.1 takes a pattern of `ignore` and `targets` as the beginning of a module's name, not as the whole of it.
# "re:.*mlp.gate" is meant for a router, which is called mlp.gate, and takes mlp.gate_proj as well: a third of each network stays in 16 bits
# where the checkpoint's author meant the router. A name without "re:" is compared whole. Whoever counts a checkpoint's bytes from its
# config has to do the same, or the sum is a tenth off.
# Seen with Python 3.11 and torch 2.13.0:
#   re:.*mlp.gate takes mlp.gate yes, mlp.gate_proj yes, mlp.up_proj no; re:.*mlp.gate$ takes mlp.gate_proj no; model.layers.0.mlp.gate takes mlp.gate_proj no
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check torch==2.13.0 transformers==5.24.0 compressed-tensors==0.20.1
cd "$work"
seen=$(venv/bin/python -W ignore - 2> errors <<'PY'
from compressed_tensors.utils import match_name


def told(pattern, *names):
    """Which modules of a layer a pattern takes."""
    return ", ".join(f"mlp.{name} {'yes' if match_name(f'model.layers.0.mlp.{name}', pattern) else 'no'}" for name in names)


print(
    f"re:.*mlp.gate takes {told('re:.*mlp.gate', 'gate', 'gate_proj', 'up_proj')}; re:.*mlp.gate$ takes {told('re:.*mlp.gate$', 'gate_proj')}; "
    f"model.layers.0.mlp.gate takes {told('model.layers.0.mlp.gate', 'gate_proj')}"
)
PY
) || { cat errors >&2; exit 1; }
seen=$(tail -n 1 <<< "$seen")
echo "$seen"
[ "$seen" = "re:.*mlp.gate takes mlp.gate yes, mlp.gate_proj yes, mlp.up_proj no; re:.*mlp.gate$ takes mlp.gate_proj no; model.layers.0.mlp.gate takes mlp.gate_proj no" ] ||
  { echo "this has changed" >&2; exit 1; }
