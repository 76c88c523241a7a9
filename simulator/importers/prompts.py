"""Published rates at which prompts were read, as values: a CSV like that of decodes, with the length of each prompt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from simulator.importers.measurements import measurement
from simulator.importers.records import Origin, Published, Record, Skipped, Unusable
from simulator.importers.tables import has_columns, load_table
from simulator.importers.weights import stated_sizes
from simulator.spec.workload import MAX_CONTEXT

NEEDED_COLUMNS = ("device", "runtime", "model", "weights", "prompt_tokens", "prompt_tokens_per_s")


@dataclass(frozen=True)
class PromptPublished:
    """One measurement of a prompt of one sequence, and what has to be known to forecast it."""

    published: Published  # its rate is of the prompt's tokens, its context what was in the cache before them
    prompt_tokens: int
    micro_batch: int | None = None  # tokens in one pass through the weights; None: the runtime's own number

    @property
    def id(self) -> str:
        """Of the row."""
        return self.published.id

    @property
    def origin(self) -> Origin:
        """What the collection says of it."""
        return self.published.origin

    @property
    def seconds(self) -> float:
        """Until the whole prompt was read."""
        return self.prompt_tokens / self.published.tokens_per_s


@dataclass(frozen=True)
class PromptMeasurements:
    """What a file holds: the rows that can be forecast, and the others."""

    published: tuple[PromptPublished, ...]
    skipped: tuple[Skipped, ...]


def is_prompts(path: Path) -> bool:
    """Whether a file has the columns of such a table; what can be read only once is not looked into."""
    return has_columns(path, "prompt_tokens_per_s")


def load_prompts(path: Path, with_unusable: bool = False) -> PromptMeasurements:
    """The rows of a file; InputError where it is no such table or a row holds a mistake."""
    records = [_of_prompt(record) for record in load_table(path, NEEDED_COLUMNS)]
    sizes = stated_sizes(records)
    published: list[PromptPublished] = []
    skipped: list[Skipped] = []
    for record in records:
        try:
            found = measurement(record, None, None, sizes, with_unusable)
            if found.hardware is None:
                raise Unusable("the device is not stated")
            tokens = record.count("prompt_tokens", 1, MAX_CONTEXT)
            assert tokens is not None  # without a default it is there
            published.append(PromptPublished(found, tokens, record.count("ubatch", 1, MAX_CONTEXT, default=0) or None))
        except Unusable as reason:
            skipped.append(Skipped(record.id, str(reason), record.origin))
    return PromptMeasurements(tuple(published), tuple(skipped))


def _of_prompt(record: Record) -> Record:
    """A row as one of decodes has it: of one sequence, with the prompt's rate."""
    told = {
        "batch": "1",
        "tokens_per_s": record.fields["prompt_tokens_per_s"],
        "context": record.text("context") or "0",
    }
    return replace(record, fields={**record.fields, **told}, columns={"tokens_per_s": "prompt_tokens_per_s"})
