"""`python -m kinfolk.serve.worker FD NUMBER`: one of several workers; started by `supervise`, not by people."""

from __future__ import annotations

import json
import os
import socket
import sys

from kinfolk.errors import KinfolkError
from kinfolk.serve.run import serve_here
from kinfolk.settings import Settings


def main() -> int:
    """Settings come as one line on standard input; its end means that the parent is gone."""
    line = bytearray()
    while not line.endswith(b"\n"):
        part = os.read(0, 1)  # not by sys.stdin: what it would read ahead is waited for by `serve_here`
        if not part:
            return 1
        line += part
    settings = Settings(**json.loads(line))
    with socket.socket(fileno=int(sys.argv[1])) as sock:
        try:
            serve_here(settings, sock, parent=0, number=int(sys.argv[2]))
        except KinfolkError as e:
            print(f"error: {' '.join(str(e).split())}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
