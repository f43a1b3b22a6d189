"""Make a certificate authority of one's own, and with it a certificate for loopback."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files in PEM.

    Args:
        authority: The authority's certificate: what a client has to trust (`REQUESTS_CA_BUNDLE`, `SSL_CERT_FILE`).
        certificate: The certificate for `localhost` and `127.0.0.1`.
        key: Its private key.
    """

    authority: Path
    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """Return what a server needs to speak TLS with them."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def make_certificates(folder: Path) -> Certificates:
    """Write an authority and a loopback certificate; the authority's key is forgotten.

    Args:
        folder: Where to; it must exist.
    """
    authority = trustme.CA()
    server = authority.issue_cert("localhost", "127.0.0.1")
    made = Certificates(folder / "authority.pem", folder / "localhost.pem", folder / "localhost.key")
    authority.cert_pem.write_to_path(made.authority)
    server.cert_chain_pems[0].write_to_path(made.certificate)
    made.key.touch(mode=0o600)
    server.private_key_pem.write_to_path(made.key)
    return made
