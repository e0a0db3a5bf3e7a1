"""An HTTP server on the build host, for guests behind an emulator's user network, which reach it at 10.0.2.2."""

import contextlib
import http.server
import threading
import time

PIECE = 64 << 10  # bytes between two pauses


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        found = self.server.files.get(self.path.strip("/"))
        if found is None:
            self.send_error(404)
            return
        data, pause = found
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        try:
            for at in range(0, len(data), PIECE):
                self.wfile.write(data[at : at + PIECE])
                time.sleep(pause)
        except OSError:
            pass  # the guest has gone

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(files):
    """Serves {name: (bytes, seconds of a pause after each PIECE)}; gives the port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files = files
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
