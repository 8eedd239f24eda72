"""Answers leave at once: head and body are two packets, and the second must not wait for the ACK of the first."""

import socket
from contextlib import closing

from kinfolk.serve.run import bind


def test_accepted_connections_are_of_a_kind_that_asyncio_sets_nodelay_on():
    with closing(bind("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()[:2]):
        accepted, _ = listening.accept()
        with closing(accepted):
            assert accepted.proto == socket.IPPROTO_TCP
        with socket.socket(fileno=socket.dup(listening.fileno())) as inherited:  # as a worker has it
            assert inherited.proto == socket.IPPROTO_TCP
