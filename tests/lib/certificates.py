"""A TLS certificate for this machine, signed by its own key."""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


def certificate_in(folder: Path) -> tuple[Path, Path]:
    """The files of certificate and key, for ``localhost``, good for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + DAY)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    signed = made.add_extension(names, critical=False).sign(key, hashes.SHA256())
    (folder / "cert.pem").write_bytes(signed.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return folder / "cert.pem", folder / "key.pem"


class Authority:
    """Signs certificates for ``localhost``, one after another; its own is in ``ca.pem``.

    :param folder: for the files ``ca.pem``, ``cert.pem`` and ``key.pem``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the lab's authority")])
        constraint = x509.BasicConstraints(ca=True, path_length=0)
        made = self._certificate(self._name, self._key.public_key()).add_extension(constraint, critical=True)
        self.certificate = folder / "ca.pem"
        self.certificate.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        self.renew()

    def _certificate(self, name: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return x509.CertificateBuilder(self._name, name, key, x509.random_serial_number(), now - DAY, now + DAY)

    def renew(self) -> None:
        """A certificate and a key in place of the last ones."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        made = self._certificate(name, key.public_key()).add_extension(names, critical=False)
        signed = made.sign(self._key, hashes.SHA256())
        (self._folder / "cert.pem").write_bytes(signed.public_bytes(Encoding.PEM))
        (self._folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
