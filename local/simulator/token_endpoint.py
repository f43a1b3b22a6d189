"""Stand in for Microsoft Entra and for a managed identity's endpoint, so that azure-identity really runs.

Speaks the v2.0 client-credentials grant with a secret or a federated assertion, the discovery that MSAL makes before
it, and the App Service identity endpoint (2019-08-01), all over HTTPS with a certificate authority of its own. What a
client's environment has to say for it is `environment`; instance discovery, which asks Microsoft itself about an
unknown authority, has to be off (`disable_instance_discovery`).
"""

import asyncio
import secrets
import tempfile
import uuid
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from pathlib import Path
from typing import Self

import msgspec
from aiohttp import web

from local.simulator import answers
from local.simulator.certificates import Certificates, make_certificates
from local.simulator.faults import Call, FaultKind, FaultScript
from local.simulator.listener import listening
from local.simulator.spoiling import spoiled
from local.simulator.tokens import TOKEN_EXCHANGE, Tokens

TOKEN_LIFETIME = timedelta(minutes=60)
_DEFAULT_SCOPE = "/.default"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class TokenEndpoint:
    """A token endpoint on loopback. Use it as an asynchronous context.

    `secret` may be replaced at any time, as when it is rotated, `trusts_identity`, as when the application gets or
    loses its federated credential, and `tenants` be added to, as when it is known in several; `requests` counts the
    tokens that were asked for, by the way of asking: `secret`, `assertion`, `identity`. `faults` says what goes wrong
    with tokens of Entra.
    """

    def __init__(self, lifetime: timedelta = TOKEN_LIFETIME, certificates: Certificates | None = None) -> None:
        """Describe it, with a tenant, an application, its secret and a managed identity made up; nothing listens yet.

        Args:
            lifetime: How long its tokens are good for.
            certificates: What it speaks HTTPS with; None makes an authority for itself.
        """
        self._certificates = certificates
        self.tenant_id, self.client_id, self.identity_client_id = (str(uuid.uuid4()) for _ in range(3))
        self.secret = secrets.token_urlsafe(24)
        self.trusts_identity = True
        self.tenants = {self.tenant_id}
        self.tokens = Tokens(self.tenant_id, lifetime)
        self.requests = {"secret": 0, "assertion": 0, "identity": 0}
        self.faults = FaultScript()
        self._identity_header = secrets.token_urlsafe(24)
        self._port = 0
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            certificates = self._certificates
            if certificates is None:
                folder = Path(opening.enter_context(tempfile.TemporaryDirectory()))
                certificates = await asyncio.to_thread(make_certificates, folder)
            self._authority_file = certificates.authority
            application = web.Application()
            application.add_routes(
                [
                    web.get("/common/discovery/instance", self._instance),
                    web.get("/{tenant}/v2.0/.well-known/openid-configuration", self._configuration),
                    web.post("/{tenant}/oauth2/v2.0/token", self._token),
                    web.get("/msi/token", self._identity),
                ]
            )
            self._port = await opening.enter_async_context(listening(application, certificates.server_context()))
            self._open = opening.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    @property
    def url(self) -> str:
        """The authority's host."""
        return f"https://localhost:{self._port}"

    @property
    def authority_file(self) -> Path:
        """The certificate that a client has to trust, in PEM; there while this listens."""
        return self._authority_file

    @property
    def environment(self) -> Mapping[str, str]:
        """What lets azure-identity find it: the authority, the certificate to trust, and the identity endpoint."""
        return {
            "AZURE_AUTHORITY_HOST": self.url,
            "REQUESTS_CA_BUNDLE": str(self.authority_file),
            "IDENTITY_ENDPOINT": f"{self.url}/msi/token",
            "IDENTITY_HEADER": self._identity_header,
        }

    async def _instance(self, request: web.Request) -> web.Response:
        tenant = request.query.get("authorization_endpoint", "").partition("://")[2].split("/")[1:2]
        found = f"{self.url}/{(tenant or [self.tenant_id])[0]}/v2.0/.well-known/openid-configuration"
        return _json({"tenant_discovery_endpoint": found, "api-version": "1.1", "metadata": []})

    async def _configuration(self, request: web.Request) -> web.Response:
        tenant = request.match_info["tenant"]
        if tenant not in self.tenants:
            return _refused(_no_tenant(tenant))
        base = f"{self.url}/{tenant}"
        return _json(
            {
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            }
        )

    async def _token(self, request: web.Request) -> web.StreamResponse:
        form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        self.requests["assertion" if "client_assertion" in form else "secret"] += 1
        fault = self.faults.take(Call.SIGN_IN, request.match_info)
        if fault is None:
            return self._granted(request, form)

        async def granted() -> web.Response:
            return self._granted(request, form)

        refusal = _REFUSALS.get(fault.kind)
        failing = _refused(refusal) if refusal else answers.failing(fault)
        return failing or await spoiled(request, fault.kind, fault.delay, granted)

    def _granted(self, request: web.Request, form: Mapping[str, str]) -> web.Response:
        refusal = self._refusal(request.match_info["tenant"], form)
        if refusal is not None:
            return refusal
        seconds = round(self.tokens.lifetime.total_seconds())
        token = self.tokens.issue(form["scope"].removesuffix(_DEFAULT_SCOPE), self.client_id)
        body = {"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token}
        return _json(body)

    def _refusal(self, tenant: str, form: Mapping[str, str]) -> web.Response | None:
        """Return the first reason that Entra would have not to give a token."""
        asserted, client_id = "client_assertion" in form, form.get("client_id", "")
        secret = compare_digest(form.get("client_secret", "").encode(), self.secret.encode())
        reasons = (
            (tenant not in self.tenants, _no_tenant(tenant)),
            (
                form.get("grant_type") != "client_credentials",
                _Refusal(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type."),
            ),
            (
                client_id != self.client_id,
                _Refusal(400, "unauthorized_client", 700016, f"Application '{client_id}' was not found."),
            ),
            (
                asserted and not self._good_assertion(form),
                _Refusal(401, "invalid_client", 700213, "No matching federated identity record found."),
            ),
            (
                not asserted and not secret,
                _Refusal(401, "invalid_client", 7000215, "Invalid client secret provided."),
            ),
            (
                not form.get("scope", "").endswith(_DEFAULT_SCOPE),
                _Refusal(400, "invalid_scope", 70011, "The provided value for 'scope' is not valid."),
            ),
        )
        return next((_refused(refusal) for applies, refusal in reasons if applies), None)

    def _good_assertion(self, form: Mapping[str, str]) -> bool:
        of_identity = self.tokens.accepts(form["client_assertion"], TOKEN_EXCHANGE)
        return self.trusts_identity and form.get("client_assertion_type") == _ASSERTION and of_identity

    async def _identity(self, request: web.Request) -> web.Response:
        self.requests["identity"] += 1
        if not compare_digest(request.headers.get("X-IDENTITY-HEADER", "").encode(), self._identity_header.encode()):
            return _json({"statusCode": 401, "message": "The identity header is missing or wrong."}, 401)
        client_id = request.query.get("client_id", self.identity_client_id)
        if client_id != self.identity_client_id:
            return _json({"statusCode": 400, "message": "No managed identity was found for the given client id."}, 400)
        resource = request.query.get("resource", "")
        expires = datetime.now(UTC) + self.tokens.lifetime
        return _json(
            {
                "access_token": self.tokens.issue(resource, client_id),
                "expires_on": str(round(expires.timestamp())),
                "resource": resource,
                "token_type": "Bearer",
                "client_id": client_id,
            }
        )


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why no token is given: the HTTP status, the OAuth error, the number after AADSTS, and a sentence."""

    status: int
    error: str
    code: int
    what: str


# How Entra words these; what stands before it knows only a status.
_REFUSALS: Mapping[FaultKind, _Refusal] = {
    FaultKind.BAD_REQUEST: _Refusal(400, "invalid_request", 900144, "The request body must contain 'client_id'."),
    FaultKind.UNAUTHORIZED: _Refusal(401, "invalid_client", 7000222, "The provided client secret keys are expired."),
    FaultKind.FORBIDDEN: _Refusal(
        403, "access_denied", 53003, "Access has been blocked by Conditional Access policies."
    ),
}


def _no_tenant(tenant: str) -> _Refusal:
    return _Refusal(400, "invalid_tenant", 90002, f"Tenant '{tenant}' not found.")


def _refused(refusal: _Refusal) -> web.Response:
    """Return an error as Entra writes it, with its AADSTS code."""
    trace, correlation, now = uuid.uuid4(), uuid.uuid4(), datetime.now(UTC)
    return _json(
        {
            "error": refusal.error,
            "error_description": f"AADSTS{refusal.code}: {refusal.what} Trace ID: {trace} "
            f"Correlation ID: {correlation} Timestamp: {now:%Y-%m-%d %H:%M:%SZ}",
            "error_codes": [refusal.code],
            "timestamp": f"{now:%Y-%m-%d %H:%M:%SZ}",
            "trace_id": str(trace),
            "correlation_id": str(correlation),
        },
        refusal.status,
    )
