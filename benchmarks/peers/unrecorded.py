"""`make serve` of a family whose page asks for no share of the answers to be recorded."""

from atelier.cli import main
from pipelines import configs
from pipelines.configs import Predictions, Serving

page = configs.serving


def unrecorded(family: str) -> Serving:
    """The family's page, but for that."""
    return page(family).model_copy(update={"predictions": Predictions(share=0)})


if __name__ == "__main__":
    configs.serving = unrecorded
    main()
