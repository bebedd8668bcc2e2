"""The wire between a client and a server on loopback: it records what is said, and loses what it is told to lose."""
import http.client, http.server, os, re, socket, sys, threading
from lab import Failed, write

# What may become of a message.
PASS, LOSE_REQUEST, LOSE_REPLY = "pass", "lose the request", "lose the reply"


class Tap:
    """A recorder between a client and a server on loopback: forwards every request and keeps both bodies as
    NNN-c2s.xml|wbxml and NNN-s2c.xml|wbxml. So that the client stays on it although the server names its own address in
    RespURI, the two host:port texts are swapped in passing; both have the same length, which keeps every length in WBXML right.

    `plan`, when set, is asked for each request since `begin` (counted from 1) what shall become of it. Who loses a message sees the connection
    close without an answer."""

    def __init__(self, server_port, folder):
        self.server_port, self.folder, self.count, self.errors = server_port, folder, 0, []
        os.makedirs(folder, exist_ok=True)
        self.lock, self.log = threading.Lock(), []
        self.plan, self.round = None, 0
        tap = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 300

            def log_message(self, *_):
                pass

            def do_POST(self):
                tap.forward(self)

            do_GET = do_POST

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request, address):
                tap.errors.append(repr(sys.exc_info()[1]))

        for _ in range(200):
            self.http = Server(("127.0.0.1", 0), Handler)
            if len(str(self.http.server_port)) == len(str(server_port)):
                break
            self.http.server_close()
        else:
            raise Failed("no free port with as many digits as %d" % server_port)
        self.port = self.http.server_port
        self.here, self.there = b"127.0.0.1:%d" % self.port, b"127.0.0.1:%d" % server_port
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": .05}, daemon=True).start()

    def url(self, path):
        return "http://127.0.0.1:%d/%s" % (self.port, path.lstrip("/"))

    def begin(self, plan=None):
        """A new sync begins."""
        with self.lock:
            self.plan, self.round = plan, 0

    def lose(self, handler):
        handler.close_connection = True
        try:
            handler.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def forward(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        body = body.replace(self.here, self.there)
        # Without Accept-Encoding nobody packs anything: what is kept can be read.
        left_out = ("host", "connection", "content-length", "proxy-connection", "accept-encoding")
        headers = {k: v for k, v in handler.headers.items() if k.lower() not in left_out}
        headers = {k: v.replace(self.here.decode(), self.there.decode()) for k, v in headers.items()}
        with self.lock:
            number = self.count = self.count + 2
            self.round += 1
            fate = self.plan(self.round) if self.plan else PASS
        self.keep(number - 1, "c2s", handler.headers.get("Content-Type"), body)
        if fate == LOSE_REQUEST:
            return self.lose(handler)
        connection = http.client.HTTPConnection("127.0.0.1", self.server_port, timeout=280)
        try:
            connection.request(handler.command, handler.path, body, headers)
            reply = connection.getresponse()
            data = reply.read()
        except (OSError, http.client.HTTPException) as e:
            self.errors.append("request %d: %r" % (number // 2, e))
            handler.close_connection = True
            return
        finally:
            connection.close()
        kind = reply.headers.get("Content-Type", "")
        self.keep(number, "s2c", kind, data, reply.status)
        if fate == LOSE_REPLY:
            return self.lose(handler)
        data = data.replace(self.there, self.here)
        handler.send_response(reply.status)
        for k, v in reply.headers.items():
            if k.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server", "keep-alive", "accept-encoding"):
                handler.send_header(k, v)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def keep(self, number, way, kind, body, status=None):
        kind = (kind or "").lower()
        extension = "wbxml" if "syncml+wbxml" in kind else "xml" if "syncml+xml" in kind else "other"
        with self.lock:
            self.log.append({"number": number, "way": way, "kind": extension, "bytes": len(body), "cards": len(re.findall(rb"BEGIN:VCARD(?:\r|\n(?! )|&#)", body)), "status": status})
        write("%s/%03d-%s.%s" % (self.folder, number, way, extension), body)

    def since(self, mark=0):
        """Totals of the exchange from a point on: messages, cards and bytes each way."""
        log = self.log[mark:]
        return {way: {"messages": sum(1 for e in log if e["way"] == way), "cards": sum(e["cards"] for e in log if e["way"] == way),
                      "bytes": sum(e["bytes"] for e in log if e["way"] == way)} for way in ("c2s", "s2c")}

    def point(self):
        return len(self.log)

    def close(self):
        self.http.shutdown()
        self.http.server_close()
