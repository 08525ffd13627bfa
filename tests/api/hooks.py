"""Names below .localhost are this machine (RFC 6761, 6.3); not every resolver knows."""

import socket

_ask = socket.getaddrinfo


def _ask_loopback(host, *arguments, **named):
    if isinstance(host, str) and host.endswith(".localhost"):
        host = "127.0.0.1"
    return _ask(host, *arguments, **named)


socket.getaddrinfo = _ask_loopback
