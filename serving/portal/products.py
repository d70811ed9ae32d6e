"""The products that the portal knows: what each is asked, and where its service takes an image."""

from typing import Literal, NamedTuple

from serving.portal.words import N_

PDF, TIFF = "application/pdf", "image/tiff"


class Product(NamedTuple):
    """A product; `subject` is what is uploaded to it; both are translated where they are shown.

    `documents`: media types of several pages. `brush`: pixels of the drawing field's pen, 0 for none to choose, None for no field.
    `framed`: the answer is boxes. `live`: a camera's pictures are answered one after another.
    """

    name: str
    question: str
    subject: str
    path: str = "/predict"
    correction: Literal["choice", "boxes", "text"] = "choice"
    documents: tuple[str, ...] = ()
    brush: int | None = None
    framed: bool = False
    live: bool = False


PRODUCTS = {  # in the order of the home page
    product.name: product
    for product in (
        Product(
            "signatures",
            N_("Where on this page are signatures, and how many?"),
            N_("a page"),
            correction="boxes",
            documents=(PDF, TIFF),
            framed=True,
            live=True,
        ),
        Product("ocr", N_("What does this line, or this page, say?"), N_("a line or a page"), correction="text", documents=(TIFF,)),
        Product("digits", N_("Which digit is on this image?"), N_("a digit"), brush=0),
        Product("objects", N_("What is on this image?"), N_("an image"), live=True),
        Product("gravures", N_("Which engraving is this, and which lenses bear it?"), N_("an engraving"), "/match", brush=14),
    )
}
