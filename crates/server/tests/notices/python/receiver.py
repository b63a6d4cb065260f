"""A webhook's receiver. It keeps what it got and whether the official library believes the signature.

PUT /secrets sets the secrets to verify with, GET /received tells what came. A POST is answered as its path says:
/ok, /fail/N/... (500 for the first N of each message), /hang/... (nothing, ever), /redirect (to /ok).
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

secrets, received, seen = [], [], {}
lock = threading.Lock()


def verified(secret, body, headers):
    try:
        Webhook(secret).verify(body, headers)
        return True
    except WebhookVerificationError:
        return False


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def do_PUT(self):
        with lock:
            secrets[:] = json.loads(self.body())
        self.answer(204)

    def do_GET(self):
        with lock:
            body = json.dumps(received).encode()
        self.answer(200, body)

    def do_POST(self):
        body, headers = self.body(), dict(self.headers)
        name = headers.get("webhook-id", "")
        with lock:
            seen[name] = seen.get(name, 0) + 1
            received.append(
                {
                    "path": self.path,
                    "id": name,
                    "headers": {key.lower(): value for key, value in headers.items()},
                    "text": body.decode(),
                    "body": json.loads(body),
                    "verified": [verified(secret, body, headers) for secret in secrets],
                }
            )
            before = seen[name]
        way = self.path.split("/")
        if way[1] == "hang":
            threading.Event().wait()
        elif way[1] == "fail" and before <= int(way[2]):
            self.answer(500)
        elif way[1] == "redirect":
            self.answer(302, headers=[("location", "/ok")])
        else:
            self.answer(200, b"x" * 1_000_000)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_):
        """A caller that went away is no fault of this program."""


server = Server(("127.0.0.1", int(sys.argv[1])), Receiver)
print("listening", server.server_address[1], flush=True)
server.serve_forever()
