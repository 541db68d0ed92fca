# SPDX-License-Identifier: ISC
"""An OAuth 2.0 authorization server: token endpoint by HTTPS, introspection for Dovecot by HTTP.

    with Tokens(user="ann@example.org") as tokens:
        tokens.file(tmp_path / "token.json")    # what imap_token_file wants
        dovecot("old", **tokens.dovecot())      # one more passdb, and the two mechanisms
        tokens.asked                            # forms that came, as dictionaries
        tokens.end()                            # from now on no token is valid that was given before

rotates: each answer has a new refresh token, and the old one is refused from then on.
"""
import json
import secrets
import ssl
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from . import certs


class Tokens:
    """See the top of this file."""

    def __init__(self, user, lasts=3600, rotates=False):
        self.user, self.lasts, self.rotates = user, lasts, rotates
        self.refresh = "refresh-" + secrets.token_hex(8)
        self.valid, self.asked, self.answers = set(), [], []
        tokens = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                form = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self.say(*tokens.token(dict(urllib.parse.parse_qsl(form))))

            def do_GET(self):
                token = self.path.split("token=", 1)[1].split("&")[0]
                self.say(200, {"active": "true" if token in tokens.valid else "false", "username": tokens.user})

            def say(self, status, answer):
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.endpoint = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.introspection = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        cert, key = certs.issue("tokens.test")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self.endpoint.socket = context.wrap_socket(self.endpoint.socket, server_side=True)
        self.threads = [threading.Thread(target=s.serve_forever, args=(0.05,), daemon=True)
                        for s in (self.endpoint, self.introspection)]

    @property
    def url(self):
        return f"https://localhost:{self.endpoint.server_port}/token"

    def token(self, form):
        self.asked.append(form)
        if self.answers:
            return self.answers.pop(0)
        if form["grant_type"] == "refresh_token" and form["refresh_token"] != self.refresh:
            return 400, {"error": "invalid_grant", "error_description": f"not {form['refresh_token']}"}
        token = "access-" + secrets.token_hex(16)
        self.valid.add(token)
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": self.lasts}
        if self.rotates:
            self.refresh = answer["refresh_token"] = "refresh-" + secrets.token_hex(8)
        return 200, answer

    def end(self):
        self.valid.clear()

    def file(self, path, **more):
        path.write_text(json.dumps({"token_uri": self.url, "client_id": "coexist", "client_secret": "client-secret",
                                    "refresh_token": self.refresh, "ca_file": str(certs.ca_file()), **more}))
        path.chmod(0o600)
        return path

    def dovecot(self, mechanisms="xoauth2 oauthbearer"):
        """Arguments for a Dovecot that takes the tokens."""
        return {"conf": f"auth_mechanisms = plain login {mechanisms}\n"
                        "passdb {\n  driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n"
                        "  args = /etc/dovecot/oauth2.conf\n}\n",
                "files": {"oauth2.conf": f"introspection_url = http://127.0.0.1:{self.introspection.server_port}"
                          "/introspect?token=\nintrospection_mode = get\nusername_attribute = username\n"
                          "active_attribute = active\nactive_value = true\nforce_introspection = yes\n"}}

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        for server, thread in zip((self.endpoint, self.introspection), self.threads):
            server.shutdown()
            thread.join()
            server.server_close()
