"""The produced program fetches pictures by HTTPS, in its sandbox, from a server that speaks TLS."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from certificates import Authority
from paths import TESTS
from program import Program
from projectors import write_pair

ADDRESS = "93.184.216.34"
ASKING = """
import json, os, socket, ssl, sys, threading
from pathlib import Path

sys.path.insert(0, sys.argv[1])
from encoded_pictures import png
from program import Program
from servers import serve

os.system("ip link set lo up && ip address add {address}/32 dev lo")
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(*sys.argv[3:5])
web = tls.wrap_socket(socket.create_server(("{address}", 443)), server_side=True)


def answer():
    while True:
        try:
            raw, _ = web.accept()
            raw.recv(4096)
            raw.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n" + png())
            raw.close()
        except OSError:  # who asks does not like the certificate
            continue


threading.Thread(target=answer, daemon=True).start()
picture = {{"type": "image_url", "image_url": {{"url": "https://{address}/a.png"}}}}
body = {{"messages": [{{"role": "user", "content": [picture]}}], "max_tokens": 1}}
said = {{}}
for trusted in sys.argv[5:7]:
    program = Program(Path(sys.argv[2]), environment={{"SSL_CERT_FILE": trusted}})
    with serve(program, "-t", "1", "--allow-image-urls", *sys.argv[7:]) as server:
        import urllib.error, urllib.request

        data = json.dumps(body).encode()
        request = urllib.request.Request(server.url + "/v1/chat/completions", data)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                said[trusted] = [response.status, ""]
        except urllib.error.HTTPError as exc:
            said[trusted] = [exc.code, json.load(exc)["error"]["message"]]
print(json.dumps(said))
"""


def test_the_certificate_decides(chat: Program, tmp_path: Path) -> None:
    """In a network of its own, where this machine has a public address."""
    if subprocess.run(["unshare", "-rn", "ip", "link"], capture_output=True).returncode:
        pytest.skip("this machine gives no networks of one's own")
    pair = write_pair(tmp_path, "llava")
    (tmp_path / "other").mkdir()
    right, other = Authority(tmp_path), Authority(tmp_path / "other")
    right.server("web", f"IP:{ADDRESS}")
    trusted = [str(one.certificate) for one in (right, other)]
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, "-c", ASKING.format(address=ADDRESS),
         str(TESTS / "support"), str(chat.path), str(tmp_path / "web.pem"),
         str(tmp_path / "web.key"), *trusted, *chat.flags, "-m", str(pair.model),
         "--mmproj", str(pair.projector)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout, done.stderr
    said = json.loads(done.stdout)

    assert [200, ""] == said[trusted[0]]
    status, why = said[trusted[1]]
    assert 400 == status
    assert f"{ADDRESS} cannot be asked: nobody who is trusted has signed its certificate" in why
