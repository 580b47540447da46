"""Certificates for servers on this machine, by an authority that exists for one test alone."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
EXTENSIONS = """
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = CA:FALSE
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {names}
"""


class Authority:
    """Signs certificates, and has one by which these are trusted."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder, self._name = folder, name
        self.certificate = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        self._sign(
            name, "authority", "DNS:localhost", days=2, signed_by=("-signkey", str(self._key))
        )

    def server(self, name: str, names: str = "DNS:localhost", *, days: int = 2) -> ssl.SSLContext:
        """Return what a server needs that has these names; one of 0 days is no longer good."""
        signer = ("-CA", str(self.certificate), "-CAkey", str(self._key), "-CAcreateserial")
        self._sign(name, "server", names, days=days, signed_by=signer)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        return context

    def _sign(
        self, name: str, kind: str, names: str, *, days: int, signed_by: tuple[str, ...]
    ) -> None:
        """Make the key `name`, and its certificate of one `kind` of EXTENSIONS."""
        key, asked, made = (self._folder / f"{name}.{end}" for end in ("key", "csr", "pem"))
        extensions = self._folder / f"{name}.cnf"
        extensions.write_text(EXTENSIONS.format(names=names))
        for command in (
            ("req", "-new", *CURVE, "-keyout", key, "-out", asked, "-subj", f"/CN={name}"),
            ("x509", "-req", "-in", asked, "-out", made, "-days", str(days), *signed_by,
             "-extfile", extensions, "-extensions", kind),
        ):  # fmt: skip
            done = subprocess.run(["openssl", *command], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
