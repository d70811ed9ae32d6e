"""`atelier`: every command of the project."""

from pipelines import errors


def main() -> None:
    """Run the command that was typed; an error of the project is one message and exit code 1, Ctrl-C is 130."""
    with errors.printed_once():
        from atelier.commands import app  # here, so that Ctrl-C is quiet during these imports too

        app()
