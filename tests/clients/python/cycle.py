#!/usr/bin/env python3
"""A whole consent with Authlib as its publisher ships it, against the sandbox in DIR.

    python3 cycle.py DIR

Each step prints one line; the first one that is not as it should be ends the run with 1.
"""

import html.parser
import json
import pathlib
import socket
import sys
from urllib.parse import parse_qsl, urljoin, urlsplit

import requests
from authlib.common.security import generate_token
from authlib.common.urls import add_params_to_uri
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2 import rfc9207
from authlib.oauth2.auth import encode_none
from authlib.oauth2.rfc6749.errors import MismatchingStateException
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url

LOGIN, SMS_CODE = "9999999904", "12345678"
IBAN = "FR7617515000920440878790811"
CLIENT_ID = "PSDFR-ACPR-99901"
TIMEOUT = 30
# encode_none sends the client_id in the body and no secret, which is RFC 8705 §2; Authlib has no name
# for it of its own.
TLS_CLIENT_AUTH = ("tls_client_auth", encode_none)


def main(directory):
    find_localhost()
    sandbox = pathlib.Path(directory)
    ready = json.loads((sandbox / "ready.json").read_text())
    port = {name: ready[name].rpartition(":")[2] for name in ("psu", "tpp")}
    host = f"www.17515.{ready['domain']}"
    tpp = Tpp(sandbox, f"https://{host}:{port['psu']}", f"https://localhost:{port['psu']}/callback")
    tpp.discover(f"https://{host}:{port['tpp']}")
    api = f"https://{host}:{port['tpp']}/stet/psd2/v1.6.2/funds-confirmations"
    whole_cycle(tpp, api)
    replay(tpp, api)
    wrong_verifier(tpp)
    wrong_certificate(tpp, sandbox)
    refusal(tpp)
    foreign_answers(tpp)


def whole_cycle(tpp, api):
    session, verifier = tpp.session(), generate_token(48)
    pushed = tpp.push(session, verifier)
    answer = tpp.customer(tpp.authorization_url(pushed), "accept")
    same("authorization: the customer logs in and accepts; a code comes, with our state and its issuer",
         (bool(answer.get("code")), answer.get("state"), answer.get("iss")),
         (True, session.state, tpp.issuer))
    used = tpp.browser().get(tpp.authorization_url(pushed), allow_redirects=False, timeout=TIMEOUT)
    same("a pushed request is good once", used.status_code, 400)

    token = tpp.redeem(session, answer, verifier)
    same("the code gives tokens, the certificate authenticates (tls_client_auth)",
         (token["token_type"], token["scope"], token["expires_in"] > 0), ("Bearer", "cbpii", True))
    first, refresh_token = token["access_token"], token["refresh_token"]

    same("funds confirmation: 100 EUR are there", confirm(session, api, "100").json()["result"], True)
    same("… 20000 EUR are not", confirm(session, api, "20000").json()["result"], False)

    fact = tpp.introspect(session, first)
    same("introspection: the token is active, ours, for cbpii, of the issuer",
         [fact[name] for name in ("active", "client_id", "scope", "iss")],
         [True, CLIENT_ID, "cbpii", tpp.issuer])

    # Authlib repeats the scope of the session with every refresh (RFC 6749 §6 allows it).
    second = session.refresh_token(tpp.metadata["token_endpoint"])["access_token"]
    same("refresh: another access token", second != first, True)
    same("… which is good", confirm(session, api, "100").status_code, 200)
    session.token = {**session.token, "access_token": first}
    refused = confirm(session, api, "100")
    same("… and the one before is refused", refused.status_code, 401)
    same("… as invalid_token", 'error="invalid_token"' in refused.headers["WWW-Authenticate"], True)
    same("… and not active", tpp.introspect(session, first), {"active": False})
    refused_with("a refresh for more than was granted", "invalid_scope", session.refresh_token,
                 tpp.metadata["token_endpoint"], refresh_token=refresh_token, scope="cbpii aisp")

    ended = session.revoke_token(tpp.metadata["revocation_endpoint"], refresh_token, "refresh_token",
                                 timeout=TIMEOUT)
    same("revocation", ended.status_code, 200)
    refused_with("… refresh afterwards", "invalid_grant", session.refresh_token,
                 tpp.metadata["token_endpoint"], refresh_token=refresh_token)
    session.token = {**session.token, "access_token": second}
    same("… and the access token is refused", confirm(session, api, "100").status_code, 401)


def replay(tpp, api):
    session, verifier = tpp.session(), generate_token(48)
    answer = tpp.customer(tpp.authorization_url(tpp.push(session, verifier, quiet=True)), "accept")
    tpp.redeem(session, answer, verifier)
    refused_with("a code that is used again", "invalid_grant", tpp.redeem, tpp.session(session.state),
                 answer, verifier)
    same("… and what it gave has ended", confirm(session, api, "100").status_code, 401)


def wrong_verifier(tpp):
    session, verifier = tpp.session(), generate_token(48)
    url, session.state = session.create_authorization_url(
        tpp.metadata["authorization_endpoint"], code_verifier=verifier)
    answer = tpp.customer(url, "accept")
    ok("a request in the browser's address, not pushed, gives a code as well")
    refused_with("a wrong verifier", "invalid_grant", tpp.redeem, session, answer, generate_token(48))


def wrong_certificate(tpp, sandbox):
    session, verifier = tpp.session(), generate_token(48)
    answer = tpp.customer(tpp.authorization_url(tpp.push(session, verifier, quiet=True)), "accept")
    session = tpp.session(session.state)
    other = sandbox / "tpp" / "multi-role"
    session.cert = (str(other / "qwac.pem"), str(other / "qwac.key"))
    refused_with("another TPP's certificate", "invalid_client", tpp.redeem, session, answer, verifier)


def refusal(tpp):
    session = tpp.session()
    url = tpp.authorization_url(tpp.push(session, generate_token(48), quiet=True))
    answer = tpp.customer(url, "refuse")
    same("the customer refuses: access_denied, with our state and its issuer",
         [answer.get(name) for name in ("code", "error", "state", "iss")],
         [None, "access_denied", session.state, tpp.issuer])


def foreign_answers(tpp):
    session = tpp.session()
    session.state = "ours"
    try:
        tpp.redeem(session, {"code": "c", "state": "theirs", "iss": tpp.issuer}, generate_token(48))
        wrong("Authlib takes an answer with a foreign state", "nothing was raised")
    except MismatchingStateException:
        ok("Authlib refuses an answer with a foreign state")
    try:
        tpp.redeem(session, {"code": "c", "state": "ours", "iss": "https://else"}, generate_token(48))
        wrong("an answer of another issuer is taken", "nothing was raised")
    except ValueError:
        ok("an answer of another issuer is refused (RFC 9207)")


class Tpp:
    """What a TPP has: its certificate, the bank's metadata, its call-back."""

    def __init__(self, sandbox, issuer, call_back):
        own = sandbox / "tpp" / "funds-co"
        self.ca, self.issuer, self.call_back = str(sandbox / "server-ca.pem"), issuer, call_back
        self.certificate = (str(own / "qwac.pem"), str(own / "qwac.key"))
        self.metadata = None

    def discover(self, tpp_url):
        url = get_well_known_url(self.issuer, external=True)
        answer = self.browser().get(url, timeout=TIMEOUT)
        self.metadata = AuthorizationServerMetadata(answer.json())
        self.metadata.validate(metadata_classes=[rfc9207.AuthorizationServerMetadata])
        same("discovery: Authlib finds the metadata valid, and it is the issuer's",
             self.metadata["issuer"], self.issuer)
        same("… tls_client_auth and S256 are offered",
             ("tls_client_auth" in self.metadata["token_endpoint_auth_methods_supported"],
              "S256" in self.metadata["code_challenge_methods_supported"]), (True, True))
        again = self.session().get(tpp_url + get_well_known_url(self.issuer), withhold_token=True,
                                   timeout=TIMEOUT)
        same("… and it is the same where the certificate is asked for", again.json(), self.metadata)
        # RFC 8705 §5: what is asked with a certificate may lie elsewhere.
        self.metadata.update(self.metadata.get("mtls_endpoint_aliases", {}))

    def browser(self):
        session = requests.Session()
        session.verify, session.trust_env = self.ca, False
        return session

    def session(self, state=None):
        session = OAuth2Session(
            CLIENT_ID,
            token_endpoint_auth_method="tls_client_auth",
            revocation_endpoint_auth_method="tls_client_auth",
            scope="cbpii",
            redirect_uri=self.call_back,
            code_challenge_method="S256",
            state=state,
            cert=self.certificate,
            verify=self.ca,
            trust_env=False,
            default_timeout=TIMEOUT,
        )
        session.register_client_auth_method(TLS_CLIENT_AUTH)
        return session

    def push(self, session, verifier, quiet=False):
        """RFC 9126: Authlib makes the request, and is not told where to send it."""
        url, session.state = session.create_authorization_url("", code_verifier=verifier)
        answer = session.post(
            self.metadata["pushed_authorization_request_endpoint"],
            data=dict(parse_qsl(urlsplit(url).query)),
            withhold_token=True,
        )
        if not quiet:
            same("pushed authorization request, S256", answer.status_code, 201)
        return answer.json()["request_uri"]

    def authorization_url(self, pushed):
        return add_params_to_uri(self.metadata["authorization_endpoint"],
                                 [("client_id", CLIENT_ID), ("request_uri", pushed)])

    def redeem(self, session, answer, verifier):
        # Authlib compares the state; the issuer is left to its user.
        if answer.get("iss") != self.issuer:
            raise ValueError("the answer is of another issuer")
        return session.fetch_token(
            self.metadata["token_endpoint"],
            authorization_response=add_params_to_uri(self.call_back, answer.items()),
            code_verifier=verifier,
        )

    def introspect(self, session, token):
        endpoint = self.metadata["introspection_endpoint"]
        return session.introspect_token(endpoint, token, "access_token", timeout=TIMEOUT).json()

    def customer(self, url, decision):
        """The customer and her browser: follows links, fills in forms, until the call-back."""
        browser = self.browser()
        answer = browser.get(url, allow_redirects=False, timeout=TIMEOUT)
        for _ in range(12):
            if answer.is_redirect:
                url = urljoin(url, answer.headers["Location"])
                if url.startswith(self.call_back + "?"):
                    return dict(parse_qsl(urlsplit(url).query))
                answer = browser.get(url, allow_redirects=False, timeout=TIMEOUT)
                continue
            same_quietly("a page of the bank", answer.status_code, 200)
            form = Form(answer.text)
            typed = {"login": LOGIN, "code": SMS_CODE}
            fields = [(name, typed.get(name, value)) for name, value in form.fields]
            step = next((step for step in ("login", "code") if step in dict(form.fields)), decision)
            url = urljoin(url, form.action)
            answer = browser.post(url, data=[*fields, ("step", step)], allow_redirects=False,
                                  timeout=TIMEOUT)
        wrong("the customer's visit", "it does not end")


class Form(html.parser.HTMLParser):
    """The one form of a page, every box ticked."""

    def __init__(self, page):
        super().__init__()
        self.action, self.fields = None, []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form":
            self.action = attributes["action"]
        elif tag == "input" and "name" in attributes:
            self.fields.append((attributes["name"], attributes.get("value", "")))


def confirm(session, api, amount):
    return session.post(api, json={
        "paymentCoverageRequestId": "MyCoverage123456",
        "instructedAmount": {"currency": "EUR", "amount": amount},
        "accountId": {"iban": IBAN},
    })


def find_localhost():
    """Names under .localhost are this machine (RFC 6761 §6.3), which not every resolver knows."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host, *rest, **named):
        here = isinstance(host, str) and host.endswith(".localhost")
        return resolve("127.0.0.1" if here else host, *rest, **named)

    socket.getaddrinfo = getaddrinfo


def ok(step):
    print(f"ok {step}", flush=True)


def wrong(step, why):
    print(f"not ok {step}: {why}", flush=True)
    sys.exit(1)


def same_quietly(step, found, expected):
    if found != expected:
        wrong(step, f"{found!r}, and not {expected!r}")


def same(step, found, expected):
    same_quietly(step, found, expected)
    ok(step)


def refused_with(step, error, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except OAuthError as refused:
        same(f"{step} is refused: {error}", refused.error, error)
    else:
        wrong(step, f"it is not refused with {error}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(sys.argv[1])
    except Exception as error:  # whatever the library raises, it does not go through
        wrong("the cycle goes through", f"{type(error).__name__}: {error}")

