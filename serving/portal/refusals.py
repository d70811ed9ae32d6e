"""Refusals in words for people: what each status means and what to do, and the commonest reasons in the person's language.

The reasons' own sentences, which name the value and what is allowed, are English. Where the person reads another language, the sentence
of the reason stands in their place.
"""

from serving.portal.words import N_, _, language
from serving.problems import Refusal

STATUSES = {  # {status: (what it means, what to do)}
    400: (N_("This request cannot be read"), N_("Go back, load the page anew and send it again.")),
    401: (N_("You are not signed in"), N_("Sign in, and try again.")),
    403: (N_("You may not do this"), N_("Sign in with an account that may, or ask an administrator.")),
    404: (N_("There is no such page"), N_("Check the address, or begin at the home page.")),
    405: (N_("This address does not take that"), N_("Begin at the home page.")),
    413: (N_("This is too large"), N_("Send a smaller file.")),
    415: (N_("This kind of file is not read here"), N_("Send another kind of file.")),
    422: (N_("This cannot be used"), N_("Go back, change what is named above and send it again.")),
    429: (N_("Too many requests"), N_("Wait a minute, then try again.")),
    500: (N_("The portal failed"), N_("Try again. If it fails again, tell your administrator the request's id.")),
    502: (N_("A product failed"), N_("Try again later; the other products still answer.")),
    503: (N_("Too busy now"), N_("Try again in a minute.")),
    504: (N_("A product is too slow now"), N_("Try again later; the other products still answer.")),
}
REASONS = {  # {reason: what is said where the person does not read English}
    "another site": N_("The request came from a page of another site. Send it from this portal."),
    "altered ledger": N_("A ledger was altered. The command make verify names the repair."),
    "bad link": N_("This link is over: it was used, a newer one was sent, or its time has passed. Ask for another."),
    "bad correction": N_("This correction does not fit the image. Check it and send it again."),
    "blank": N_("Nothing is drawn on this image. Draw with dark ink on light paper, or send another."),
    "body too large": N_("The file is too large. Send a smaller one."),
    "body too slow": N_("The file did not arrive in time. Send it again."),
    "broken document": N_("The document is truncated or broken. Print it to a new PDF, or send its pages as images."),
    "broken picture": N_("The image is truncated or broken. Send the complete file."),
    "busy": N_("Too many requests are at work. Send it again in a second."),
    "client gone": N_("The connection was closed before all had arrived. Send it again."),
    "encrypted document": N_("The document is encrypted. Save it without a password, and send it again."),
    "endless document": N_("The document takes too long to be rendered. Print it to a new PDF, or send its pages as images."),
    "enough flags": N_("The product takes no more corrections. Tell your administrator."),
    "fault": N_("The service failed on this request. Its log says why."),
    "method not allowed": N_("Nothing of this kind can be sent to this address."),
    "no working tree": N_("This portal has no working tree, so it decides nothing. Use the commands where the project is."),
    "no e-mail": N_("This portal sends no e-mail. An administrator can set a new password."),
    "no database": N_("The database does not answer. Try again in a minute."),
    "no reason": N_("A decision has a reason, of 1 to 300 characters."),
    "no session": N_("The session is over. Sign in again."),
    "no such page": N_("The document has no such page."),
    "no reviewer": N_("Data scientists and administrators review answers. Ask an administrator for the role."),
    "not a picture": N_("This is no image that the product reads. Send PNG, JPEG or WebP; signatures reads PDF and TIFF, ocr TIFF."),
    "not found": N_("There is no such page here."),
    "overtaken": N_("Another decision was made meanwhile. Look at it, then decide again."),
    "product down": N_("The product does not answer now. The others do; try it again later."),
    "product too slow": N_("The product did not answer in time. Send it again later."),
    "rate limit": N_("Too many requests were sent. Wait, then try again."),
    "role": N_("Your account has not the role that this page is for. An administrator changes roles."),
    "sign-up closed": N_("Nobody can sign up here. An administrator adds users."),
    "token refused": N_("The product does not accept the portal's users. Its operator sets the portal's USERS_URL and AUTH_KEY for it."),
    "too many attempts": N_("Too many attempts from this address. Try again in a few minutes."),
    "too many pages": N_("The document has too many pages. Send it in parts."),
    "too many pixels": N_("The image has too many pixels. Send a smaller one."),
    "too slow": N_("The answer took too long. Send it again, or a smaller image."),
    "unknown": N_("There is nothing of this name here."),
    "unknown answer": N_("The product answered in a form that this portal does not know. Are both of one version?"),
}
FRAMEWORK = ("not found", "method not allowed")  # the framework's own, whose sentences are for programs


def meaning(status: int) -> tuple[str, str]:
    """What a status means, and what to do, in the person's language."""
    title, remedy = STATUSES.get(status) or STATUSES[500 if status >= 500 else 400]
    return _(title), _(remedy)


def detail(refusal: Refusal) -> str:
    """The reason in the person's language where it is known, else as it came."""
    if refusal.reason in REASONS and (language() != "en" or refusal.reason in FRAMEWORK):
        return _(REASONS[refusal.reason])
    return refusal.detail
