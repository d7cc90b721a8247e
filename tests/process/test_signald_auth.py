#!/usr/bin/python3
"""viaduct-signald and tokens: keys and tokens of another make (PyJWT, cryptography), over WebSocket and HTTP, and the keys' reload."""
import asyncio
import base64
import hashlib
import hmac
import http.server
import json
import pathlib
import secrets
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import jwt
import websockets
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

import signald_client
from signald_client import SIGNALD, start
from signald_http import Http

SECRET = "an application's secret, 32 bytes or more"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(n, length=None):
    return b64(n.to_bytes(length or (n.bit_length() + 7) // 8, "big"))


def raw_public(key):
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


class Keys:
    """One of each kind, made anew."""

    def __init__(self):
        self.private = {"RS256": rsa.generate_private_key(65537, 2048), "ES256": ec.generate_private_key(ec.SECP256R1()),
                        "EdDSA": ed25519.Ed25519PrivateKey.generate(), "HS256": secrets.token_bytes(32)}

    def jwk(self, alg, kid=None):
        key = self.private[alg]
        if alg == "HS256":
            jwk = {"kty": "oct", "k": b64(key)}
        elif alg == "RS256":
            n = key.public_key().public_numbers()
            jwk = {"kty": "RSA", "n": number(n.n), "e": number(n.e)}
        elif alg == "ES256":
            n = key.public_key().public_numbers()
            jwk = {"kty": "EC", "crv": "P-256", "x": number(n.x, 32), "y": number(n.y, 32)}
        else:
            jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(raw_public(key))}
        return {**jwk, "kid": kid or alg, "alg": alg, "use": "sig"}

    def token(self, alg, claims=None, kid=None, **headers):
        claims = {"sub": "ann", "exp": int(time.time()) + 600} if claims is None else claims
        return jwt.encode(claims, self.private[alg], algorithm=alg, headers={"kid": kid or alg, **headers})


def shared(claims=None, secret=SECRET, algorithm="HS256", **kwargs):
    return jwt.encode({"exp": int(time.time()) + 600} if claims is None else claims, secret, algorithm=algorithm, **kwargs)


class Case(unittest.TestCase):
    def start(self, *args):
        self.daemon = start(self, *args)
        return self.daemon

    def folder(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return pathlib.Path(folder.name)

    def http(self):
        connection = Http(self.daemon)
        self.addCleanup(connection.close)
        return connection

    def session(self, token=None, bearer=None, path="/v1/session"):
        hello = {"type": "hello"} if token is None else {"type": "hello", "token": token}
        return self.http().request("POST", path, hello, key=bearer)

    def welcome(self, *args, **kwargs):
        reply = self.session(*args, **kwargs)
        self.assertEqual(reply.status, 201, reply)
        return reply.json

    def refused(self, token, because, **kwargs):
        reply = self.session(token, **kwargs)
        self.assertEqual((reply.status, reply.json["code"]), (401, "unauthorized"), reply)
        self.assertIn(because, reply.json["message"])

    def websocket(self, token=None, bearer=None, path="/v1/ws"):
        """The first message, and the close code where it was an error."""
        async def run():
            headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
            async with websockets.connect(f"ws://127.0.0.1:{self.daemon.ports['http']}{path}", subprotocols=["viaduct.v1"],
                                          extra_headers=headers) as socket:
                await socket.send(json.dumps({"type": "hello", **({"token": token} if token is not None else {})}))
                message = json.loads(await socket.recv())
                if message["type"] == "error":
                    await socket.wait_closed()
                return message, socket.close_code
        return asyncio.run(asyncio.wait_for(run(), signald_client.PATIENCE_S))


class Tokens(Case):
    def test_a_shared_secret(self):
        self.start("--auth=jwt", f"--auth-secret={SECRET}")
        self.welcome(shared())
        self.welcome(bearer=shared())
        message, _ = self.websocket(token=shared())
        self.assertEqual(message["type"], "welcome")
        message, _ = self.websocket(bearer=shared())
        self.assertEqual(message["type"], "welcome")
        message, code = self.websocket(token=shared(secret="x" * 40))
        self.assertEqual((message["code"], code), ("unauthorized", 1008))
        message, code = self.websocket()
        self.assertEqual((message["code"], code), ("unauthorized", 1008))

    def test_refusals(self):
        self.start("--auth=jwt", f"--auth-secret={SECRET}", "--verbose")
        now = int(time.time())
        self.refused(None, "a token is needed")
        self.refused("", "a token is needed")
        self.refused("x", "no signed JWT")
        self.refused(shared(secret="y" * 40), "signature")
        self.refused(shared({"exp": now - 60}), "expired")
        self.refused(shared({"nbf": now + 60}), "not good yet")
        self.refused(shared({"exp": "soon"}), "'exp'")
        self.refused(shared({"aud": "call"}), "audience")
        self.refused(shared({"rooms": "tea"}), "'rooms'")
        self.refused(shared(secret="", algorithm="none"), "no signed JWT")
        self.refused(b64(b'{"alg":"none"}') + "." + b64(b"{}") + ".AAAA", "not taken here")
        self.refused(shared(algorithm="HS512"), "not taken here")
        self.refused(shared(headers={"crit": ["exp"]}), "crit")
        reply = self.session("a" * 9000)
        self.assertEqual((reply.status, reply.json["code"]), (400, "bad-message"))
        self.welcome(shared({"exp": now - 10}))  # auth-leeway
        token = shared({"exp": now - 60, "sub": "very-secret-ann"})
        self.refused(token, "expired")
        self.daemon.stop()
        log = "\n".join(self.daemon.lines)
        self.assertIn("hello-refused code=unauthorized reason=", log)
        self.assertNotIn(token[-20:], log)
        self.assertNotIn("very-secret-ann", log)

    def test_rooms_and_verbs(self):
        self.start("--auth=jwt", f"--auth-secret={SECRET}")
        key = self.welcome(shared({"rooms": ["tea", "team-*"], "can": ["join"]}))["key"]

        def send(**message):
            return self.http().request("POST", "/v1/messages", message, key=key)
        self.assertEqual(send(type="join", room="tea").status, 202)
        self.assertEqual(send(type="join", room="team-7").status, 202)
        self.assertEqual(send(type="join", room="coffee").json["code"], "forbidden")
        self.assertEqual(send(type="broadcast", room="tea", data=1).json["code"], "forbidden")

    def test_ice_servers_ask_for_the_same(self):
        self.start("--auth=jwt", f"--auth-secret={SECRET}", "--turn-uri=turn:192.0.2.1:3478", "--turn-secret=s")
        reply = self.http().request("GET", "/v1/ice-servers")
        self.assertEqual((reply.status, reply.json["code"]), (401, "unauthorized"))
        reply = self.http().request("GET", "/v1/ice-servers", key=shared())
        self.assertEqual(reply.status, 200)
        self.assertEqual(len(reply.json["iceServers"]), 1)

    def test_issuer_and_audience(self):
        self.start("--auth=jwt", f"--auth-secret={SECRET}", "--auth-issuer=https://id.example", "--auth-audience=call")
        self.welcome(shared({"iss": "https://id.example", "aud": ["call", "mail"]}))
        self.refused(shared({"iss": "https://id.example", "aud": "mail"}), "audience")
        self.refused(shared({"iss": "https://evil.example", "aud": "call"}), "issuer")


class KeySets(Case):
    def start_with(self, *jwks, args=()):
        self.path = self.folder() / "jwks.json"
        self.write(*jwks)
        return self.start("--auth=jwt", f"--auth-jwks={self.path}", *args)

    def write(self, *jwks):
        self.path.write_text(json.dumps({"keys": list(jwks)}))

    def reload(self, line):
        self.daemon.process.send_signal(signal.SIGHUP)
        return self.daemon.wait_line(line)

    def test_every_algorithm(self):
        keys, others = Keys(), Keys()
        self.start_with(*(keys.jwk(alg) for alg in keys.private))
        for alg in keys.private:
            with self.subTest(alg):
                self.welcome(keys.token(alg))
                self.assertEqual(self.websocket(token=keys.token(alg))[0]["type"], "welcome")
                self.refused(others.token(alg), "signature")
                self.refused(keys.token(alg, kid="unknown"), "no key")
                head, payload, signature = keys.token(alg).split(".")
                changed = b64(json.dumps({"sub": "eve"}).encode())
                self.refused(f"{head}.{changed}.{signature}", "signature")

    def test_several_keys_by_kid_and_without(self):
        old, new = Keys(), Keys()
        self.start_with(old.jwk("ES256", "old"), new.jwk("ES256", "new"))
        self.welcome(old.token("ES256", kid="old"))
        self.welcome(new.token("ES256", kid="new"))
        self.refused(new.token("ES256", kid="old"), "signature")
        self.welcome(jwt.encode({}, new.private["ES256"], algorithm="ES256"))  # no kid: each is tried

    def test_a_public_key_is_no_secret(self):
        """Algorithm confusion: HS256 with the public key, in any of its forms, as the secret."""
        keys = Keys()
        self.start_with(*(keys.jwk(alg) for alg in ("RS256", "ES256", "EdDSA")))
        for alg in ("RS256", "ES256", "EdDSA"):
            public = keys.private[alg].public_key()
            forms = [public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
                     public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
                     json.dumps(keys.jwk(alg)).encode(), keys.jwk(alg).get("x", keys.jwk(alg).get("n")).encode()]
            for form in forms:
                signed = f'{b64(json.dumps({"alg": "HS256", "kid": alg}).encode())}.{b64(b"{}")}'
                mac = jwt.algorithms.get_default_algorithms()["HS256"].sign(signed.encode(), form)
                self.refused(f"{signed}.{b64(mac)}", "no key")
        # And the other way about: a token that says the kid of one key and the algorithm of another.
        self.refused(keys.token("RS256", kid="ES256"), "no key")

    def test_reload(self):
        first, second = Keys(), Keys()
        self.start_with(first.jwk("ES256"))
        key = self.welcome(first.token("ES256"))["key"]
        self.write(second.jwk("EdDSA"), {"kty": "new"})
        self.assertIn("auth_keys=1", self.reload(" reloaded "))
        self.refused(first.token("ES256"), "no key")
        self.welcome(second.token("EdDSA"))
        # A session that is open goes on.
        self.assertEqual(self.http().request("POST", "/v1/messages", {"type": "join", "room": "tea"}, key=key).status, 202)

    def test_a_bad_file_changes_nothing(self):
        keys = Keys()
        self.start_with(keys.jwk("ES256"))
        good = self.path.read_text()
        private = {**keys.jwk("EdDSA"), "d": "AAAA"}
        for text, because in (("{", "is not JSON"), ("", "is not JSON"), ('{"keys":[]}', "has no key"), ("[" * 100000, "is not JSON"),
                              (json.dumps({"keys": [private]}), "private part"), ('{"keys":[{"kty":"oct","k":"A"}]}', "base64url"),
                              (" " * 300000, "jwks.json")):
            self.path.write_text(text)
            line = self.reload("reload-refused")
            self.assertIn(because, line)
            self.welcome(keys.token("ES256"))
        self.path.unlink()
        self.assertIn("jwks.json", self.reload("reload-refused"))
        self.welcome(keys.token("ES256"))
        self.path.write_text(good)
        self.reload(" reloaded ")
        self.welcome(keys.token("ES256"))


class Applications(Case):
    SECRETS = {"acme": "the secret of acme, 32 bytes or more", "globex": "the secret of globex, 32 bytes or more"}

    def write(self, name, *lines):
        path = self.apps / f"{name}.conf"
        path.write_text("\n".join(lines) + "\n")
        return path

    def start_apps(self, *args, lines=(), config=()):
        self.apps = self.folder()
        paths = [self.write(name, "auth=jwt", f"auth-secret={secret}", *lines) for name, secret in self.SECRETS.items()]
        self.config = self.apps / "signald.ini"
        self.config.write_text("\n".join([*config, *(f"app={path}" for path in paths)]) + "\n")
        return self.start(f"--config={self.config}", *args)

    def token(self, app):
        return shared(secret=self.SECRETS[app])

    def post(self, app, key, message):
        prefix = f"/apps/{app}" if app else ""
        return self.http().request("POST", f"{prefix}/v1/messages", message, key=key)

    def read(self, app, key):
        reply = self.http().request("GET", f"/apps/{app}/v1/messages?after=0", key=key)
        self.assertEqual(reply.status, 200, reply)
        return reply.json["messages"]

    def test_apart(self):
        self.start_apps()
        keys = {app: self.welcome(self.token(app), path=f"/apps/{app}/v1/session")["key"] for app in self.SECRETS}
        self.welcome()  # the default application takes everybody here
        self.refused(self.token("globex"), "signature", path="/apps/acme/v1/session")
        self.refused(None, "a token is needed", path="/apps/acme/v1/session")
        # A room of the same name is another room.
        for app, key in keys.items():
            self.assertEqual(self.post(app, key, {"type": "join", "room": "tea"}).status, 202)
            self.assertEqual(self.read(app, key)[0]["peers"], [])
        # A key of one opens nothing in another.
        for other in ("globex", ""):
            reply = self.post(other, keys["acme"], {"type": "join", "room": "tea"})
            self.assertEqual((reply.status, reply.json["code"]), (410, "session-gone"))
        # Nor does a resume.
        message, _ = self.websocket(token=self.token("acme"), path="/apps/acme/v1/ws")
        self.assertEqual(message["type"], "welcome")
        resume = {"session": message["session"], "key": message["key"], "after": 0}
        for path, status in (("/apps/globex/v1/session", 410), ("/v1/session", 410), ("/apps/acme/v1/session", 201)):
            reply = self.http().request("POST", path, {"type": "hello", "resume": resume})
            self.assertEqual(reply.status, status, path)

    def test_one_that_there_is_not(self):
        self.start_apps()
        for path in ("/apps/initech/v1/session", "/apps//v1/session", "/apps/v1/session", "/apps/ACME/v1/session"):
            reply = self.http().request("POST", path, {"type": "hello"})
            self.assertEqual((reply.status, reply.json["code"]), (404, "not-found"), path)
        with self.assertRaises(websockets.exceptions.InvalidStatusCode):
            self.websocket(path="/apps/initech/v1/ws")

    def test_its_own_limits_and_those_of_all(self):
        self.start_apps("--max-sessions=3", lines=["max-sessions=2", "turn-uri=stun:192.0.2.9"], config=["turn-uri=stun:192.0.2.1"])

        def hello(app):
            return self.session(self.token(app), path=f"/apps/{app}/v1/session")
        welcome = hello("acme").json
        self.assertEqual(welcome["iceServers"], [{"urls": ["stun:192.0.2.9"]}])
        self.assertEqual(self.session().json["iceServers"], [{"urls": ["stun:192.0.2.1"]}])
        self.assertEqual(hello("acme").status, 201)
        self.assertEqual((hello("acme").status, hello("globex").status), (503, 503))
        metrics = Http(self.daemon)
        metrics.connection.port = self.daemon.ports["metrics"]
        self.addCleanup(metrics.close)
        self.assertIn("\nviaduct_signal_sessions 3\n", metrics.request("GET", "/metrics").body.decode())

    def test_an_address_counts_over_all(self):
        self.start_apps("--max-sessions-per-address=2")
        self.welcome()
        self.welcome(self.token("acme"), path="/apps/acme/v1/session")
        self.assertEqual(self.session(self.token("globex"), path="/apps/globex/v1/session").status, 503)

    def test_origins(self):
        self.start_apps(config=["origin=https://main.example"])
        self.write("acme", "auth=none", "origin=https://acme.example")
        self.daemon.process.send_signal(signal.SIGHUP)
        self.daemon.wait_line(" reloaded ")

        def allowed(path, origin):
            reply = self.http().request("POST", path, {"type": "hello"}, headers={"Origin": origin})
            self.assertEqual(reply.headers["Access-Control-Allow-Origin"], origin if reply.status == 201 else None)
            return reply.status == 201
        self.assertTrue(allowed("/v1/session", "https://main.example"))
        self.assertFalse(allowed("/v1/session", "https://acme.example"))
        self.assertTrue(allowed("/apps/acme/v1/session", "https://acme.example"))
        self.assertFalse(allowed("/apps/acme/v1/session", "https://main.example"))

    def test_reload(self):
        self.start_apps()
        key = self.welcome(self.token("acme"), path="/apps/acme/v1/session")["key"]
        initech = self.write("initech", "auth=none")
        self.write("acme", "auth=jwt", f"auth-secret={self.SECRETS['acme'].upper()}")
        self.config.write_text(self.config.read_text() + f"app={initech}\n")
        self.daemon.process.send_signal(signal.SIGHUP)
        self.daemon.wait_line(" reloaded ")
        self.welcome(path="/apps/initech/v1/session")
        self.refused(self.token("acme"), "signature", path="/apps/acme/v1/session")
        self.assertEqual(self.post("acme", key, {"type": "join", "room": "tea"}).status, 202)
        # One that is gone would take its sessions along.
        self.config.write_text(f"app={initech}\n")
        self.daemon.process.send_signal(signal.SIGHUP)
        self.assertIn("the application acme is not there any more", self.daemon.wait_line("reload-refused"))
        self.assertEqual(self.post("acme", key, {"type": "join", "room": "tea"}).status, 202)

    def test_files_that_are_no_good(self):
        folder = self.folder()

        def refuse(name, *lines, also=()):
            path = folder / name
            path.write_text("\n".join(lines))
            done = subprocess.run([SIGNALD, "--listen=127.0.0.1:0", *also, f"--app={path}"], capture_output=True, text=True,
                                  timeout=signald_client.PATIENCE_S)
            self.assertEqual(done.returncode, 2, done.stderr)
            return done.stderr
        self.assertIn("a.conf: say who may use it", refuse("a.conf"))
        self.assertIn("a.conf:2: unknown option 'orign'; did you mean 'origin'?", refuse("a.conf", "auth=none", "orign=*"))
        self.assertIn("a.conf:2: listen is for the whole server", refuse("a.conf", "auth=none", "listen=127.0.0.1:1"))
        self.assertIn("a.conf:1: max-sessions-per-address is for", refuse("a.conf", "max-sessions-per-address=1"))
        self.assertIn("auth-secret or auth-jwks", refuse("a.conf", "auth=jwt"))
        self.assertIn("NAME.conf", refuse("a b.conf", "auth=none"))
        self.assertIn("NAME.conf", refuse("a.ini", "auth=none"))
        self.assertIn("missing.conf", refuse("a.conf", "auth=none", also=[f"--app={folder}/missing.conf"]))
        secret = f"auth-secret={SECRET}"
        self.assertIn("so a token of one opens the other", refuse("a.conf", "auth=jwt", secret, also=["--auth=jwt", f"--{secret}"]))
        (folder / "b.conf").write_text(f"auth=jwt\n{secret}\n")
        self.assertIn("b.conf, so a token of one", refuse("a.conf", "auth=jwt", secret, also=[f"--app={folder}/b.conf"]))
        self.assertIn("another application called a", refuse("a.conf", "auth=none", also=[f"--app={folder}/a.conf"]))


class Backend:
    """An application's backend: answers each question as `answer` says, on a thread of its own."""
    SECRET = "what both ends of the webhook know"

    def __init__(self, case):
        self.asked, self.answer = [], lambda question: (200, {"allow": True})
        self.release = threading.Event()
        self.release.set()
        backend = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                backend.check(self.headers, body)
                question = json.loads(body)
                backend.asked.append(question)
                backend.release.wait(signald_client.PATIENCE_S)
                status, answer = backend.answer(question)
                answer = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)
                except OSError:  # the question was taken back
                    pass

            def log_message(self, *args):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *args: None  # the client hung up
        thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        thread.start()
        case.addCleanup(self.close)
        self.wrong = []
        self.args = ["--auth=webhook", f"--auth-webhook=http://127.0.0.1:{self.server.server_address[1]}/hello",
                     f"--auth-webhook-secret={self.SECRET}"]

    def check(self, headers, body):
        """Standard Webhooks, written anew."""
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        mac = base64.b64encode(hmac.new(self.SECRET.encode(), signed, hashlib.sha256).digest()).decode()
        if headers["webhook-signature"] != f"v1,{mac}" or abs(int(headers["webhook-timestamp"]) - time.time()) > 60:
            self.wrong.append(dict(headers))

    def close(self):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        assert not self.wrong, self.wrong


class Webhook(Case):
    def start_backend(self, *args):
        self.backend = Backend(self)
        return self.start(*self.backend.args, *args)

    def test_over_each_way_in(self):
        self.start_backend()
        self.backend.answer = lambda q: (200, {"allow": True, "rooms": ["tea"], "can": ["join"], "iceServers": [{"urls": "stun:192.0.2.1"}],
                                              "iceTtl": 60, "limits": {"messageRate": 5, "roomsPerSession": 1}})
        welcome = self.welcome("one")
        self.assertEqual((welcome["iceServers"], welcome["iceTtl"]), ([{"urls": "stun:192.0.2.1"}], 60))
        self.assertEqual((welcome["limits"]["messageRate"], welcome["limits"]["roomsPerSession"], welcome["limits"]["byteRate"]), (5, 1, 524288))
        reply = self.http().request("POST", "/v1/messages", {"type": "join", "room": "coffee"}, key=welcome["key"])
        self.assertEqual(reply.json["code"], "forbidden")
        message, _ = self.websocket(bearer="two")
        self.assertEqual(message["type"], "welcome")
        self.assertEqual(self.backend.asked, [
            {"type": "hello", "application": "", "token": "one", "client": "127.0.0.1", "transport": "http"},
            {"type": "hello", "application": "", "token": "two", "client": "127.0.0.1", "transport": "websocket"}])
        reply = self.http().request("GET", "/v1/ice-servers", key="one")
        self.assertEqual((reply.status, reply.json["code"]), (401, "unauthorized"))

    def test_no(self):
        self.start_backend()
        for answer in ((200, {"allow": False}), (401, {}), (403, b"no")):
            self.backend.answer = lambda q, answer=answer: answer
            self.refused("x", "does not let you in")
            message, code = self.websocket("x")
            self.assertEqual((message["code"], code), ("unauthorized", 1008))

    def test_answers_that_are_none(self):
        self.start_backend()
        for answer in ((500, {"allow": True}), (302, {"allow": True}), (204, b""), (200, b""), (200, b"yes"), (200, {"allow": 1}), (200, {}),
                       (200, b'{"allow":false,"allow":true}'), (200, {"allow": True, "rooms": "tea"}), (200, {"allow": True, "iceServers": {}}),
                       (200, {"allow": True, "limits": {"messageRate": -1}}), (200, {"allow": True, "iceServers": ["x" * 20000]}),
                       (200, b" " * 100000)):
            with self.subTest(answer=repr(answer)[:80]):
                self.backend.answer = lambda q, answer=answer: answer
                reply = self.session("x")
                self.assertEqual((reply.status, reply.json["code"], reply.json["retryAfter"]), (503, "server-full", 5), reply)
                self.assertEqual(reply.headers["Retry-After"], "5")
                self.daemon.wait_line("auth-webhook-failed")
        message, code = self.websocket("x")
        self.assertEqual((message["code"], code), ("server-full", 1013))

    def test_nobody_there(self):
        backend = Backend(self)
        backend.server.server_close()
        self.start(*backend.args)
        self.assertEqual(self.session("x").status, 503)
        self.daemon.wait_line("auth-webhook-failed")

    def test_who_does_not_answer_is_given_up(self):
        self.start_backend("--auth-webhook-timeout=1")
        self.backend.release.clear()
        self.assertEqual(self.session("x").status, 503)
        message, code = self.websocket("x")
        self.assertEqual((message["code"], code), ("server-full", 1013))

    def test_meanwhile(self):
        """One waits, is refused what it says, and others come and go."""
        self.start_backend()
        self.backend.release.clear()
        waiting = self.http()
        waiting.connection.request("POST", "/v1/session", json.dumps({"type": "hello", "token": "slow"}), {"Content-Type": "application/json"})

        async def run():
            url = f"ws://127.0.0.1:{self.daemon.ports['http']}/v1/ws"
            async with websockets.connect(url, subprotocols=["viaduct.v1"]) as a, websockets.connect(url, subprotocols=["viaduct.v1"]) as b:
                await a.send(json.dumps({"type": "hello"}))
                await b.send(json.dumps({"type": "hello"}))
                await a.send(json.dumps({"type": "join", "room": "tea"}))
                self.assertEqual(json.loads(await a.recv())["code"], "hello-first")
                await b.close()
                self.backend.release.set()
                self.assertEqual(json.loads(await a.recv())["type"], "welcome")
        asyncio.run(asyncio.wait_for(run(), signald_client.PATIENCE_S))
        reply = waiting.finish()
        self.assertEqual((reply.status, reply.json["type"]), (201, "welcome"))

    def test_the_server_stops_while_somebody_waits(self):
        self.start_backend()
        self.backend.release.clear()
        waiting = self.http()
        waiting.connection.request("POST", "/v1/session", json.dumps({"type": "hello", "token": "slow"}), {"Content-Type": "application/json"})
        while not self.backend.asked:
            time.sleep(0.01)
        self.assertEqual(self.daemon.stop()[0], 0)
        reply = waiting.finish()
        self.assertEqual((reply.status, reply.json["code"]), (503, "draining"))

    def test_an_application_of_its_own(self):
        backend = Backend(self)
        path = self.folder() / "acme.conf"
        path.write_text("\n".join(arg[2:] for arg in backend.args) + "\n")
        self.start(f"--app={path}")
        self.welcome()
        self.assertEqual(backend.asked, [])
        self.welcome("x", path="/apps/acme/v1/session")
        self.assertEqual(backend.asked[0]["application"], "acme")
        # Another judge by a reload, and none.
        path.write_text("auth=none\n")
        self.daemon.process.send_signal(signal.SIGHUP)
        self.daemon.wait_line(" reloaded ")
        self.welcome(path="/apps/acme/v1/session")
        self.assertEqual(len(backend.asked), 1)


class Options(unittest.TestCase):
    def refuse(self, *args):
        done = subprocess.run([SIGNALD, "--listen=127.0.0.1:0", *args], capture_output=True, text=True, timeout=signald_client.PATIENCE_S)
        self.assertEqual(done.returncode, 2, done.stderr)
        return done.stderr

    def test_what_does_not_go_together(self):
        self.assertIn("auth-secret or auth-jwks", self.refuse("--auth=jwt"))
        self.assertIn("auth=jwt", self.refuse(f"--auth-secret={SECRET}"))
        self.assertIn("auth=jwt", self.refuse("--auth=none", "--auth-jwks=x"))
        self.assertIn("auth=jwt", self.refuse("--auth-audience=x"))
        self.assertIn("32 bytes", self.refuse("--auth=jwt", "--auth-secret=short"))
        self.assertIn("PEM", self.refuse("--auth=jwt", "--auth-secret=-----BEGIN PUBLIC KEY----- MFkwEwYHKoZIzj0CAQ"))
        self.assertIn("must be none", self.refuse("--auth=jwts"))
        self.assertIn("add auth-webhook", self.refuse("--auth=webhook"))
        self.assertIn("auth-webhook-secret", self.refuse("--auth=webhook", "--auth-webhook=https://a.example/"))
        self.assertIn("auth=webhook", self.refuse("--auth=none", "--auth-webhook=https://a.example/"))
        error = self.refuse("--auth=jwt", "--auth-jwks=/nonexistent/jwks.json")
        self.assertIn("/nonexistent/jwks.json", error)

    def test_the_check_reads_the_keys(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "signald.conf"
            keys = pathlib.Path(folder) / "jwks.json"
            keys.write_text('{"keys":[]}')
            path.write_text(f"listen=127.0.0.1:0\nauth=jwt\nauth-jwks={keys}\n")
            done = subprocess.run([SIGNALD, f"--check-config={path}"], capture_output=True, text=True, timeout=signald_client.PATIENCE_S)
            self.assertEqual(done.returncode, 1)
            self.assertIn("has no key", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
