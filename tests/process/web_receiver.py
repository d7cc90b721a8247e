"""A server of the application that requests are posted to, which answers as the test says: well, badly, late or never."""
import queue
import socket
import ssl
import threading

PATIENCE_S = 10
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Request:
    def __init__(self, line, headers, body, connection):
        self.line, self.headers, self.body, self.connection = line, headers, body, connection


class Receiver:
    """`answer(request, sock)` gives bytes to send, or None to close at once; it may send by itself, and wait for `released`."""

    def __init__(self, answer=None, certificate=None, port=0):
        self.answer = answer or (lambda request, sock: ANSWER)
        self.requests, self.connections, self.released = queue.Queue(), 0, threading.Event()
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.socks, self.threads = [], []
        self.spawn(self.accept)

    def url(self, path="/hooks", host="127.0.0.1"):
        return f"{'https' if self.context else 'http'}://{host}:{self.port}{path}"

    def spawn(self, target, *args):
        thread = threading.Thread(target=target, args=args, daemon=True)
        thread.start()
        self.threads.append(thread)

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self.socks.append(sock)
            self.spawn(self.serve, sock, self.connections)

    def serve(self, sock, number):
        try:
            sock.settimeout(PATIENCE_S)
            if self.context:
                sock = self.context.wrap_socket(sock, server_side=True)
                self.socks.append(sock)
            with sock, sock.makefile("rb") as file:
                while (line := file.readline()):
                    headers = {}
                    while (field := file.readline().strip()):
                        name, _, value = field.decode().partition(":")
                        headers[name.lower()] = value.strip()
                    body = file.read(int(headers.get("content-length", 0)))
                    request = Request(line.decode().strip(), headers, body, number)
                    self.requests.put(request)
                    answer = self.answer(request, sock)
                    if answer is None:
                        return
                    sock.sendall(answer)
        except (OSError, ValueError):
            pass

    def take(self):
        return self.requests.get(timeout=PATIENCE_S)

    def close(self):
        self.released.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for sock in self.socks:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()
        for thread in self.threads:
            thread.join(0.5)  # a TLS handshake that hangs ends with its time limit; it holds up nobody
