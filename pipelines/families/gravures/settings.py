"""The pages of conf/family/gravures.yaml and conf/candidate/gravures-*.yaml, as types."""

from typing import Literal

from pydantic import Field, model_validator

from pipelines.configs import Page


class Source(Page):
    """Pictures that a person keeps: a folder or a tar of them, and what is said of them."""

    path: str
    description: str
    licence: str
    citation: str


class Data(Page):
    """Where the pictures come from: `folder` reads `folders`, each under its own name; `omniglot` reads characters; `embedded` draws both.

    Of each class's drawings, in the order of their numbers, the last share `test` is for test, the share `valid` before it for choosing.
    Alphabets are chosen by their names with the same shares; those below images_evaluation/ are for test. `limit`: at most so many
    drawings and so many characters' pictures a split.
    """

    sources: list[Literal["folder", "omniglot", "embedded"]] = Field(min_length=1)
    folders: dict[str, Source] = Field(default={})
    omniglot: Source | None = None
    valid: float = Field(gt=0, lt=1)
    test: float = Field(gt=0, lt=1)
    limit: int | None = Field(default=None, ge=10)

    @model_validator(mode="after")
    def _named(self) -> "Data":
        for source, key in (("folder", "folders"), ("omniglot", "omniglot")):
            if source in self.sources and not getattr(self, key):
                raise ValueError(f"sources has {source!r}, so data.{key} must say where it is")
        if self.valid + self.test >= 1:
            raise ValueError(f"valid {self.valid:g} and test {self.test:g} leave no drawing for training; together they must be below 1")
        return self
