"""All commands, grouped by who asks."""

import typer

from atelier import administrator, developer, operator, scientist
from pipelines.ledger import driver

app = typer.Typer(name="atelier", no_args_is_help=True, pretty_exceptions_enable=False)
for name, group in {
    "Data scientist": scientist.app,
    "Operator": operator.app,
    "Administrator": administrator.app,
    "Developer": developer.app,
}.items():
    for command in group.registered_commands:
        command.rich_help_panel = name
    app.add_typer(group)


@app.callback()
def _project() -> None:
    """From a data set to an endpoint, and from any answer of the endpoint back to the data set."""
    driver.install()
