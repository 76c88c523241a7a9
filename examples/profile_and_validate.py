"""How far to trust roofcast on this machine: measure it, decode for real, and draw forecast against measured.

    python examples/profile_and_validate.py [FOLDER]

The quick way, in about a minute; without --quick both commands take longer and know more. Decodes models with random weights
on the CPU, and writes mine.yaml, run.json and two pictures.
"""

import json
import subprocess
import sys
from pathlib import Path


def roofcast(*arguments: str) -> None:
    """The command, as one would type it."""
    subprocess.run([sys.executable, "-m", "simulator", *arguments], check=True)


def main(folder: Path) -> None:
    """Measure and validate into *folder*."""
    mine, run = str(folder / "mine.yaml"), str(folder / "run.json")
    roofcast("profile", "--quick", "-o", mine, "--plot", str(folder / "profile.png"))
    roofcast("validate", mine, "--quick", "--json", run, "--plot", str(folder / "validate.png"))
    summary = json.loads(Path(run).read_text())["summary"]
    found = summary["drift_corrected"]
    print(f"{summary['n_rows']} decodes, the machine's drift taken out: median error {found['median_abs_error']:.1%}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
