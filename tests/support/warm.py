"""`thrivecalc` without the second that its imports take: a process has them, and forks for a call.

    python tests/support/warm.py serve SOCKET         the process that has imported everything
    python -I -S tests/support/warm.py SOCKET ARGS    a call, with its directory and streams

A call is a process of its own, as for a user. What depends on how Python itself starts (buffers,
encodings, Ctrl-C during the imports) needs the real command: see test_cli_streams.py.
"""

from __future__ import annotations

import json
import os
import socket
import sys

LONGEST = 1 << 20  # bytes of a call


def call(address: str, args: list[str], env: dict[str, str], streams: tuple[int, ...]) -> int:
    """Run the command on these descriptors in this directory, and return its exit code."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.connect(address)
        message = json.dumps([args, env, os.getcwd()]).encode()
        socket.send_fds(server, [message], streams)
        return int(server.recv(16))


def serve(address: str) -> None:
    """Wait for calls until standard input ends; return only in the process of a call."""
    import select

    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        listener.listen(16)
        print("ready", flush=True)
        while listener in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                if begins(connection):
                    return
            connection.close()
            reap()
    os._exit(0)


def begins(connection: socket.socket) -> bool:
    """True in the process of the call; beside it another waits for its exit code."""
    message, streams, _, _ = socket.recv_fds(connection, LONGEST, 3)
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    connection.close()
    for target, source in enumerate(streams):
        os.dup2(source, target)
        os.close(source)
    args, env, directory = json.loads(message)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(directory)
    sys.path[0] = directory
    sys.argv[1:] = args
    return True


def reap() -> None:
    """Take leave of the processes that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def main() -> None:
    if sys.argv[1] != "serve":
        sys.exit(call(sys.argv[1], sys.argv[2:], dict(os.environ), (0, 1, 2)))
    import gc
    import importlib

    del sys.path[0]  # this directory, which no user's command has there
    sys.path.insert(0, "")
    command = importlib.import_module("thrivecalc_models.cli")
    for entry in importlib.import_module("thrivecalc_models.cli.app").COMMANDS:
        importlib.import_module(f"thrivecalc_models.cli.{entry.module}")
    gc.freeze()
    serve(sys.argv[2])
    command.main()


if __name__ == "__main__":
    main()
