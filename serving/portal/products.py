"""The products that the portal knows: what each is asked, and where its service takes an image."""

from typing import NamedTuple

from serving.portal.words import N_


class Product(NamedTuple):
    """A product; `subject` is what is uploaded to it; both are translated where they are shown."""

    name: str
    question: str
    subject: str
    path: str = "/predict"


PRODUCTS = {  # in the order of the home page
    product.name: product
    for product in (
        Product("signatures", N_("Where on this page are signatures, and how many?"), N_("a page")),
        Product("ocr", N_("What does this line, or this page, say?"), N_("a line or a page")),
        Product("digits", N_("Which digit is on this image?"), N_("a digit")),
        Product("objects", N_("What is on this image?"), N_("an image")),
        Product("gravures", N_("Which engraving is this, and which lenses bear it?"), N_("an engraving"), "/match"),
    )
}
