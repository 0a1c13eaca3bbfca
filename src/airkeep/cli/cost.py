"""`airkeep cost`: the group of its commands."""

from __future__ import annotations

import click

from airkeep.cli.cost_by_dag import by_dag
from airkeep.cli.cost_estimate import estimate


@click.group(invoke_without_command=True)
@click.pass_context
def cost(ctx: click.Context) -> None:
    """Price an environment, and share its bill among those who use it.

    Prices are dated tables with their sources (docs/cost.md); a price that no table has is an
    error, not a guess.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


cost.add_command(estimate)
cost.add_command(by_dag)
