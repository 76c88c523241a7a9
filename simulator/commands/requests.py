"""What `simulate --prompt` adds: a whole request of one user, in lines and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from simulator.errors import InputError
from simulator.forecast.request import Request, RequestForecast, forecast_request
from simulator.forecast.scenario import Scenario


@dataclass(frozen=True)
class Asked:
    """The options of a request, as they were given."""

    prompt: int | None = None
    generate: int | None = None
    cached: int | None = None
    ubatch: int | None = None

    def request(self, **others: Any) -> Request | None:
        """What is asked; None where no prompt is given. *others*: options that do not go with it, None where not given."""
        more = {name: value for name, value in vars(self).items() if name != "prompt" and value is not None}
        if self.prompt is None:
            if more:
                raise InputError(f"--{next(iter(more))} belongs to a whole request: give --prompt, too")
            return None
        wrong = next((name for name, value in others.items() if value is not None), None)
        if wrong:
            raise InputError(f"--prompt is a request of one user, whose context follows from it: leave --{wrong} out")
        if self.prompt == 0 or self.generate == 0:
            raise InputError(f"--{'prompt' if self.prompt == 0 else 'generate'} 0: at least 1 token is needed")
        return Request(self.prompt, self.generate or 1, self.cached or 0, self.ubatch)


def depths_of(request: Request) -> list[int]:
    """Tokens in the cache before the steps that give the answer's second token and its last."""
    return list(dict.fromkeys((request.prompt, request.prompt + max(request.generate - 2, 0))))


def forecasts(bases: Iterable[Scenario], request: Request) -> list[tuple[str, RequestForecast]]:
    """The request in each format."""
    return [(base.load.weights.name, forecast_request(base, request)) for base in bases]
