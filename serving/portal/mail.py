"""E-mail by SMTP: `smtps://name:password@host` (TLS from the start) or `smtp://host` (STARTTLS where the server offers it)."""

import logging
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import NamedTuple

logger = logging.getLogger("atelier.serving")
TIMEOUT = 10.0  # seconds for the server to answer
PORTS = {"smtp": 587, "smtps": 465}


class Mail(NamedTuple):
    """The server, the sender's address, and the portal's own as people reach it, for links: no request may choose that."""

    host: str
    port: int
    tls: bool
    user: str
    password: str
    sender: str
    portal: str

    def send(self, to: str, subject: str, text: str) -> bool:
        """Send a text; false where that failed, which is logged."""
        try:
            with self._connected() as server:
                server.send_message(self._message(to, subject, text))
        except (OSError, smtplib.SMTPException, ValueError) as error:
            logger.error("an e-mail could not be sent by %s:%d: %s", self.host, self.port, error)
            return False
        return True

    def _message(self, to: str, subject: str, text: str) -> EmailMessage:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self.sender, to, subject
        message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain=self.sender.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        return message

    def _connected(self) -> smtplib.SMTP:
        """The server, by TLS where it offers that; a password is sent by TLS alone. Raises OSError or SMTPException."""
        context = ssl.create_default_context()
        if self.tls:
            server: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT, context=context)
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT)
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls(context=context)
            elif self.user:
                raise smtplib.SMTPNotSupportedError("it offers no STARTTLS, and a password is not sent without")
        if self.user:
            server.login(self.user, self.password)
        return server
