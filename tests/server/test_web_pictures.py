"""Pictures from the web are fetched by processes that can do nothing else."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from encoded_pictures import png
from paths import ROOT

from runtime.errors import MediaError
from runtime.server.service.web_pictures import fetched

PROGRAM = """
import json, os, socket, sys, threading
sys.path[:0] = [{root!r}, {support!r}]
from encoded_pictures import png
from runtime.errors import AppError
from runtime.server.service.web_pictures import PROCESSES, WebPictures

os.system("ip link set lo up && ip address add 93.184.216.34/32 dev lo")
pictures = WebPictures(sandbox=True)
web = socket.create_server(("93.184.216.34", 80))
inner = socket.create_server(("127.0.0.1", 80))
children = open(f"/proc/self/task/{{os.getpid()}}/children").read().split()


def serve():
    while True:
        raw, _ = web.accept()
        line = raw.recv(4096).split(b"\\r\\n")[0]
        if b"/inner" in line:
            raw.sendall(b"HTTP/1.1 302 Found\\r\\nLocation: http://127.0.0.1/\\r\\n\\r\\n")
        elif b"/large" in line:
            raw.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n" + bytes(20 << 20))
        else:
            raw.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n" + png())
        raw.close()


threading.Thread(target=serve, daemon=True).start()


def asked(url):
    try:
        return len(pictures.fetch(url))
    except AppError as exc:
        return exc.problem


result = {{"urls": [asked("http://93.184.216.34" + path) for path in sys.argv[1:]]}}
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


def test_pictures_come_from_the_public_internet_alone() -> None:
    """In a network of its own, where this machine has a public address."""
    text = PROGRAM.format(root=str(ROOT), support=str(ROOT / "tests" / "support"))
    command = ["unshare", "-rn", sys.executable, "-c", text, "/a.png", "/large", "/inner"]
    if subprocess.run(["unshare", "-rn", "ip", "link"], capture_output=True).returncode:
        pytest.skip("this machine gives no networks of one's own")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout, done.stderr
    said = json.loads(done.stdout)

    assert [len(png()), 20 << 20, "127.0.0.1 is not on the public internet"] == said["urls"]
    assert "was left alone" == said["inner"]
    assert {"2"} == set(said["seccomp"])


def test_without_the_option_nothing_is_fetched() -> None:
    with pytest.raises(MediaError, match="not fetched from the web here") as caught:
        fetched(None, "http://example.org/a.png")
    assert "--allow-image-urls" in caught.value.hint
