"""The second serial port of a machine as a Unix socket, for one program at a time."""

import os
import socket


class Line:
    """Moves bytes between `port`, a socket of the emulator's, and whoever connects to `path`."""

    def __init__(self, path):
        self.path, self.port, self.client = path, None, None
        self.waiting, self.session = b"", None
        if os.path.exists(path):
            os.unlink(path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1)

    def join(self, session):
        """Begins, in the loop of a session.Session."""
        self.session = session
        self.port.setblocking(False)
        session.watch(self.listener, self.accept)
        session.watch(self.port, self.from_port)

    def accept(self):
        client, _ = self.listener.accept()
        if self.client:
            client.close()
        else:
            self.client = client
            client.setblocking(False)
            self.session.watch(client, self.from_client)
        return True

    def from_client(self):
        try:
            data = self.client.recv(4096)
        except BlockingIOError:
            return True
        except ConnectionError:
            data = b""
        self.waiting += data
        self.flush()
        if not data:
            self.client.close()
            self.client = None
        return bool(data)

    def flush(self):
        """Gives the machine what it has room for."""
        try:
            while self.waiting:
                self.waiting = self.waiting[self.port.send(self.waiting) :]
        except BlockingIOError:
            pass
        except ConnectionError:
            self.waiting = b""

    def from_port(self):
        """What the machine says while nobody listens is lost, as on a wire."""
        try:
            data = self.port.recv(4096)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        if self.client:
            try:
                self.client.sendall(data)
            except OSError:
                pass
        return bool(data)

    def close(self):
        for one in (self.client, self.port, self.listener):
            if one:
                one.close()
        if os.path.exists(self.path):
            os.unlink(self.path)
