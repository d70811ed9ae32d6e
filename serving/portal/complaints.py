"""Why there is no such account, or no such password, in the person's language."""

from serving.auth.passwords import BadPassword
from serving.auth.users import EmailTaken, InvalidUser, NameTaken
from serving.portal.words import N_, _, language

KNOWN = N_("This e-mail address has an account already. Sign in, or take another address.")
TAKEN = N_("Another user has this name. Choose another.")
COMPLAINTS = {  # {error: what is said of it where the person does not read English}
    EmailTaken: KNOWN,
    NameTaken: TAKEN,
    InvalidUser: N_("The name or the e-mail address is malformed. A name has letters, digits and . _ - without blanks."),
    BadPassword: N_("This password is too short or too simple. Take at least 12 characters; four or five words are easy to remember."),
}


def words(fault: Exception) -> str:
    """What is said of the error."""
    known = next((text for kind, text in COMPLAINTS.items() if isinstance(fault, kind)), "")
    return _(known) if known and (language() != "en" or isinstance(fault, (EmailTaken, NameTaken))) else str(fault)
