//! Certificates for a Redis of this test alone: a CA, a server on loopback, and a client.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};
use tempfile::TempDir;

use crate::gateway::free;

/// PEM files: `ca.pem`, `server.pem`, `server.key`, `client.pem`, `client.key`.
pub struct RedisTls {
    dir: TempDir,
    /// Where TLS is spoken, beside the plain port of the server.
    pub address: SocketAddr,
}

impl RedisTls {
    pub fn new() -> Self {
        let tls = RedisTls { dir: tempfile::tempdir().unwrap(), address: free() };
        let ca_key = key();
        let ca = certificate("CA of a test", &ca_key, None);
        tls.write("ca.pem", &ca.to_pem().unwrap());
        for name in ["server", "client"] {
            let key = key();
            let leaf = certificate(name, &key, Some((&ca, &ca_key)));
            tls.write(&format!("{name}.pem"), &leaf.to_pem().unwrap());
            tls.write(&format!("{name}.key"), &key.private_key_to_pem_pkcs8().unwrap());
        }
        tls
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// As redis-server wants them; clients must show a certificate.
    pub fn settings(&self) -> Vec<String> {
        let file = |name: &str| self.file(name).to_str().unwrap().to_owned();
        let port = self.address.port().to_string();
        let settings: [(&str, String); 5] = [
            ("--tls-port", port),
            ("--tls-cert-file", file("server.pem")),
            ("--tls-key-file", file("server.key")),
            ("--tls-ca-cert-file", file("ca.pem")),
            ("--tls-auth-clients", "yes".to_owned()),
        ];
        settings.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
    }

    fn write(&self, name: &str, pem: &[u8]) {
        fs::write(self.file(name), pem).unwrap();
    }
}

impl Default for RedisTls {
    fn default() -> Self {
        Self::new()
    }
}

fn key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn certificate(name: &str, key: &PKey<Private>, issuer: Option<(&X509, &PKey<Private>)>) -> X509 {
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    let subject = subject.build();
    let mut builder: X509Builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let mut serial = BigNum::new().unwrap();
    serial.rand(120, openssl::bn::MsbOption::MAYBE_ZERO, false).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_pubkey(key).unwrap();
    match issuer {
        Some((ca, ca_key)) => {
            builder.set_issuer_name(ca.subject_name()).unwrap();
            let mut names = SubjectAlternativeName::new();
            names.ip("127.0.0.1").dns("localhost");
            let names = names.build(&builder.x509v3_context(Some(ca), None)).unwrap();
            builder.append_extension(names).unwrap();
            builder.sign(ca_key, MessageDigest::sha256()).unwrap();
        }
        None => {
            builder.set_issuer_name(&subject).unwrap();
            let ca = BasicConstraints::new().critical().ca().build().unwrap();
            builder.append_extension(ca).unwrap();
            builder.sign(key, MessageDigest::sha256()).unwrap();
        }
    }
    builder.build()
}
