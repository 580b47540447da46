"""TLS of web servers that pictures are fetched from, and in words why it fails."""

from __future__ import annotations

import os
import socket

from runtime.errors import MediaError

EXPIRED, NOT_YET_VALID = 10, 9
OTHER_HOST = (62, 64)
UNKNOWN = (2, 18, 19, 20, 21)
"""Results of OpenSSL's x509_vfy.h: who signed is not known, or is the one that is signed."""
ENDED = ("UNEXPECTED_EOF_WHILE_READING", "EOF occurred")
ASKS_BACK = "CERTIFICATE_REQUIRED"


def secured(raw: socket.socket, host: str) -> socket.socket:
    """Return the connection with TLS, if its certificate is the host's; it is closed otherwise.

    Authorities are trusted that browsers trust, or those of SSL_CERT_FILE. Raise OSError, for
    `in_words`, or MediaError if there are none.
    """
    import ssl

    import certifi

    try:
        try:
            context = ssl.create_default_context(
                cafile=os.environ.get("SSL_CERT_FILE") or certifi.where()
            )
        except OSError as exc:
            raise MediaError(
                "the certificates that this server trusts cannot be read",
                hint="whoever runs it must look at SSL_CERT_FILE",
            ) from exc
        return context.wrap_socket(raw, server_hostname=host)
    except BaseException:
        raw.close()
        raise


def in_words(exc: OSError) -> str:
    """Return why a connection failed, as whoever knows no OpenSSL can read it."""
    import ssl

    if isinstance(exc, ssl.SSLCertVerificationError):
        return _of_certificate(exc)
    if not isinstance(exc, ssl.SSLError):
        return exc.strerror or "the connection fails"
    said = f"{exc.reason} {exc.strerror}"
    if any(sign in said for sign in ENDED):
        return "it ends the connection while that is being secured"
    if ASKS_BACK in said:
        return "it wants a certificate of whoever asks"
    reason = (exc.reason or "unknown").replace("_", " ").lower()
    return f"it speaks no TLS that is known here ({reason})"


def _of_certificate(exc: object) -> str:
    """Return what is wrong with a certificate."""
    code = getattr(exc, "verify_code", 0)
    if code == EXPIRED:
        return "its certificate has expired"
    if code == NOT_YET_VALID:
        return "its certificate is not valid yet"
    if code in OTHER_HOST:
        return "its certificate is that of another host"
    if code in UNKNOWN:
        return "nobody who is trusted has signed its certificate"
    return f"its certificate is not right: {getattr(exc, 'verify_message', '')}"
