"""`python -m kinfolk.serve.worker FD NUMBER TELL`: one of several workers; started by `supervise`, not by people."""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import suppress

from kinfolk.errors import BundleError, KinfolkError
from kinfolk.online.ports import StoreError
from kinfolk.serve.lives import BAD_INPUT, LACKING
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
    fd, number, tell = map(int, sys.argv[1:])

    def ready() -> None:
        with suppress(BrokenPipeError):  # the parent is gone, which standard input says too
            os.write(tell, bytes([number]))

    with socket.socket(fileno=fd) as sock:
        try:
            serve_here(settings, sock, parent=0, number=number, ready=ready)
        except KinfolkError as e:
            print(f"error: {' '.join(str(e).split())}", file=sys.stderr)
            return LACKING if isinstance(e, StoreError | BundleError) else BAD_INPUT
    return 0


if __name__ == "__main__":
    sys.exit(main())
