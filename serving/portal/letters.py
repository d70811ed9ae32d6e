"""Letters to users, with a link that is signed, ends, and is good for once: to confirm the e-mail address, and to choose a new password."""

import hashlib
from collections.abc import Callable
from typing import Literal
from urllib.parse import urlencode

from itsdangerous import BadData, TimestampSigner, URLSafeTimedSerializer

from serving.auth.attempts import Locked
from serving.auth.authority import Authority
from serving.auth.users import User
from serving.portal.mail import Mail
from serving.portal.words import N_, _

Kind = Literal["confirm", "reset"]
SECONDS: dict[Kind, int] = {"confirm": 24 * 3600, "reset": 3600}
LONGEST = 400  # characters of a token; ours have about 80
TEXTS: dict[Kind, tuple[str, str]] = {
    "confirm": (
        N_("Confirm your e-mail address"),
        N_("An account was made with this e-mail address. To confirm it, open this link within a day:"),
    ),
    "reset": (
        N_("Choose a new password"),
        N_("Somebody, you perhaps, asked for a new password. To choose one, open this link within an hour:"),
    ),
}
REST = N_("If it was not you, do nothing.")
OVER = "This link is over: it was used, a newer one was sent, or its time has passed. Ask for another."


class BadLink(Exception):
    """A link that was not made here, is over, or was used."""


class Letters:
    """What is sent to users, and what comes back. Blocking: use threads."""

    def __init__(self, authority: Authority, mail: Mail) -> None:
        self.authority, self.mail = authority, mail
        self._signer = _signer(authority.users.clock)

    def confirmation(self, user: User) -> None:
        """Send the link that confirms the user's e-mail address, some times at most."""
        self._send("confirm", user)

    def reset(self, email: str) -> None:
        """Send the link that leads to a new password, where a user who may have one has this address."""
        user = self.authority.users.find(email)
        if user and user.email and not user.disabled:
            self._send("reset", user)

    def _send(self, kind: Kind, user: User) -> None:
        try:
            self.authority.attempts.begin_letter(user.name)
        except Locked:
            return
        subject, words = TEXTS[kind]
        link = f"{self.mail.portal}/{kind}?{urlencode({'token': self.token(kind, user)})}"
        self.mail.send(user.email or "", f"{_(subject)}: Atelier", f"{user.name},\n\n{_(words)}\n\n{link}\n\n{_(REST)}\n")

    def token(self, kind: Kind, user: User) -> str:
        """A token that is good until the user's password or address changes, the address is confirmed, or its time is over."""
        return str(self._serializer(kind).dumps([user.id, _state(user)]))

    def user(self, kind: Kind, token: str) -> User:
        """The user that a token was sent to. Raises BadLink."""
        try:
            if len(token) > LONGEST or not token.isascii():
                raise BadLink(OVER)
            id, state = self._serializer(kind).loads(token, max_age=SECONDS[kind])
        except BadData:
            raise BadLink(OVER) from None
        user = self.authority.users.by_id(id)
        if user is None or user.disabled or _state(user) != state:
            raise BadLink(OVER)
        return user

    def _serializer(self, kind: Kind) -> URLSafeTimedSerializer:
        key = self.authority.tokens.key
        return URLSafeTimedSerializer(key, f"portal {kind}", signer=self._signer, signer_kwargs={"digest_method": hashlib.sha256})


def _state(user: User) -> str:
    words = f"{user.password_hash} {user.email} {user.confirmed}"
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def _signer(clock: Callable[[], float]) -> type[TimestampSigner]:
    """It asks this clock."""

    class Signer(TimestampSigner):
        def get_timestamp(self) -> int:
            return int(clock())

    return Signer
