"""`airkeep cost`: the group of its commands."""

from __future__ import annotations

import click

from airkeep.cli.context import Group
from airkeep.cli.cost_by_dag import by_dag
from airkeep.cli.cost_estimate import estimate


@click.group(cls=Group)
def cost() -> None:
    """Price an environment, and share its bill among those who use it.

    Prices are dated tables with their sources (docs/cost.md); a price that no table has is an
    error, not a guess.
    """


cost.add_command(estimate)
cost.add_command(by_dag)
