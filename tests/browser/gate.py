"""A way to the server that can be shut: then each message waits there until it is let through. Knows nothing of the program."""
import socket, threading


class Gate:
    def __init__(self, host, port):
        self.server, self.listener = (host, port), socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.changed, self.shut, self.waiting, self.passes = threading.Condition(), False, 0, 0
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.connection, args=(client,), daemon=True).start()

    def connection(self, client):
        with client, socket.create_connection(self.server) as server:
            threading.Thread(target=self.back, args=(server, client), daemon=True).start()
            try:
                while data := client.recv(65536):
                    if data.startswith(b"POST "):
                        self.wait()
                    server.sendall(data)
            except OSError:
                pass

    @staticmethod
    def back(server, client):
        try:
            while data := server.recv(65536):
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def wait(self):
        with self.changed:
            if not self.shut:
                return
            self.waiting += 1
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.passes > 0 or not self.shut)
            self.passes = max(0, self.passes - 1)

    # What the one does who stands at the gate.

    def close(self):
        with self.changed:
            self.shut = True

    def open(self):
        with self.changed:
            self.shut, self.waiting, self.passes = False, 0, 0
            self.changed.notify_all()

    def let_one_through(self):
        with self.changed:
            self.waiting, self.passes = self.waiting - 1, self.passes + 1
            self.changed.notify_all()

    def is_one_waiting(self, process):
        """Whether a message waits; no more come when the process has ended."""
        while True:
            with self.changed:
                if self.changed.wait_for(lambda: self.waiting > 0, timeout=0.05):
                    return True
            if process.poll() is not None:
                return False
