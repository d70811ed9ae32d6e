"""`python -m serving` of a family whose page asks for no share of the answers to be recorded."""

from pipelines import configs
from pipelines.configs import Predictions, Serving
from serving.__main__ import main

page = configs.serving


def unrecorded(family: str) -> Serving:
    """The family's page, but for that."""
    return page(family).model_copy(update={"predictions": Predictions(share=0)})


if __name__ == "__main__":
    configs.serving = unrecorded
    main()
