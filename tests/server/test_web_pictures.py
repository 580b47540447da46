"""Pictures from the web are fetched by processes that can do nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority
from encoded_pictures import png
from paths import ROOT

from runtime.errors import MediaError
from runtime.server.service.web_pictures import fetched

PROGRAM = """
import json, os, socket, ssl, sys, threading
sys.path[:0] = [{root!r}, {support!r}]
from encoded_pictures import png
from runtime.errors import AppError
from runtime.server.service.web_pictures import PROCESSES, WebPictures

os.system("ip link set lo up && ip address add 93.184.216.34/32 dev lo")
pictures = WebPictures(sandbox=True)
web = socket.create_server(("93.184.216.34", 80))
secure = socket.create_server(("93.184.216.34", 443))
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(*sys.argv[1:3])
inner = socket.create_server(("127.0.0.1", 80))
children = open(f"/proc/self/task/{{os.getpid()}}/children").read().split()


def serve(listening):
    while True:
        try:
            raw, _ = listening.accept()
        except ssl.SSLError:  # whoever asks does not like the certificate
            continue
        line = raw.recv(4096).split(b"\\r\\n")[0]
        if b"/inner" in line:
            raw.sendall(b"HTTP/1.1 302 Found\\r\\nLocation: http://127.0.0.1/\\r\\n\\r\\n")
        elif b"/large" in line:
            raw.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n" + bytes(20 << 20))
        else:
            raw.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n" + png())
        raw.close()


for listening in web, tls.wrap_socket(secure, server_side=True):
    threading.Thread(target=serve, args=[listening], daemon=True).start()


def asked(url):
    try:
        return len(pictures.fetch(url))
    except AppError as exc:
        return exc.problem


result = {{"urls": [asked(url) for url in sys.argv[3:]]}}
for _ in range(PROCESSES):
    asked("http://93.184.216.34/")  # so that each has entered its sandbox
result["seccomp"] = [
    open(f"/proc/{{child}}/status").read().split("Seccomp:\\t")[1][0] for child in children
]
inner.setblocking(False)
try:
    inner.accept()
    result["inner"] = "was asked"
except BlockingIOError:
    result["inner"] = "was left alone"
print(json.dumps(result))
"""


ADDRESS = "93.184.216.34"


def asked(folder: Path, *urls: str, trusted: Path | None = None) -> dict[str, Any]:
    """Ask for pictures in a network of its own, where this machine has a public address."""
    if subprocess.run(["unshare", "-rn", "ip", "link"], capture_output=True).returncode:
        pytest.skip("this machine gives no networks of one's own")
    authority = Authority(folder)
    authority.server("web", f"IP:{ADDRESS}")
    text = PROGRAM.format(root=str(ROOT), support=str(ROOT / "tests" / "support"))
    pair = (str(folder / "web.pem"), str(folder / "web.key"))
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, "-c", text, *pair, *urls],
        env={**os.environ, "SSL_CERT_FILE": str(trusted or authority.certificate)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert {"2"} == set(said["seccomp"])
    return said


def test_pictures_come_from_the_public_internet_alone(tmp_path: Path) -> None:
    said = asked(tmp_path, *(f"http://{ADDRESS}/{path}" for path in ("a.png", "large", "inner")))

    assert [len(png()), 20 << 20, "127.0.0.1 is not on the public internet"] == said["urls"]
    assert "was left alone" == said["inner"]


def test_they_come_by_https_too(tmp_path: Path) -> None:
    """What reads certificates lies in the sandbox, as the file does that the user trusts."""
    said = asked(tmp_path, *(f"https://{ADDRESS}/{path}" for path in ("a.png", "inner")))

    assert [len(png()), "the picture is moved from https to http"] == said["urls"]


def test_a_certificate_of_a_stranger_is_refused_in_the_sandbox(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    said = asked(tmp_path, f"https://{ADDRESS}/a.png", trusted=Authority(other).certificate)

    assert [f"{ADDRESS} cannot be asked: nobody who is trusted has signed its certificate"] == said[
        "urls"
    ]


def test_without_the_option_nothing_is_fetched() -> None:
    with pytest.raises(MediaError, match="not fetched from the web here") as caught:
        fetched(None, "http://example.org/a.png")
    assert "--allow-image-urls" in caught.value.hint
