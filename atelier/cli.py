"""`atelier`: every command of the project, grouped by who asks."""

import typer

from atelier import administrator, developer, operator, scientist
from pipelines import errors

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


def main() -> None:
    """Run the command that was typed; an error of the project is one message and exit code 1, Ctrl-C is 130."""
    with errors.printed_once():
        app()
