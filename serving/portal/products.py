"""The products that the portal knows: what each is asked, and where its service takes an image."""

from typing import NamedTuple


class Product(NamedTuple):
    """A product; `subject` is what is uploaded to it."""

    name: str
    question: str
    subject: str
    path: str = "/predict"


PRODUCTS = {  # in the order of the home page
    product.name: product
    for product in (
        Product("signatures", "Where on this page are signatures, and how many?", "a page"),
        Product("ocr", "What does this line, or this page, say?", "a line or a page"),
        Product("digits", "Which digit is on this image?", "a digit"),
        Product("objects", "What is on this image?", "an image"),
        Product("gravures", "Which engraving is this, and which lenses bear it?", "an engraving", "/match"),
    )
}
