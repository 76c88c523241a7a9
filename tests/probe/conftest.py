"""What several tests of probes share."""

import pytest

from simulator.engine.team import Team


@pytest.fixture
def team_of():
    """A function that gives teams of some threads."""
    teams = []

    def make(n_threads):
        teams.append(Team(n_threads))
        return teams[-1]

    yield make
    for team in teams:
        team.close()
