//! A directory with everything that a configuration names: certificates, keys, lists, registers.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use openssl::asn1::{Asn1Integer, Asn1Object, Asn1OctetString, Asn1Time};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, KeyUsage, SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509Builder, X509CrlBuilder, X509Extension, X509Name};
use tempfile::TempDir;

use crate::config::{Config, Problem};

/// A configuration without a mistake.
pub(super) const SOUND: &str = r#"
[listen.tpp]
address = "127.0.0.1:8443"
certificate = "tpp.pem"
key_file = "tpp.key"
client_certificate = "required"
[listen.psu]
address = "127.0.0.1:8444"
certificate = "tpp.pem"
key_file = "tpp.key"
public_url = "https://psu.example-bank.fr"
[listen.admin]
address = "127.0.0.1:9443"
key_file = "admin.key"
[trust]
anchors = ["anchors.pem"]
crls = ["ca.crl"]
[register.eba]
file = "eba.json"
metadata = "filemetadata.json"
[store]
embedded = "store.redb"
[audit]
directory = "audit"
key_file = "audit.key"
[[domain]]
name = "psd2.example-bank.fr"
[quota.funds]
requests = 120
period = "1m"
[[api]]
name = "funds-confirmation"
method = "POST"
required_roles = ["PSP_IC"]
scopes = ["cbpii"]
body = "funds-confirmation"
quota = "funds"
[[api.version]]
name = "v1"
paths = ["/v1/funds-confirmations"]
successor = "v2"
[[api.version]]
name = "v2"
paths = ["/v2/funds-confirmations"]
[[codetab]]
code = "10548"
name = "EXAMPLE"
upstream = { addresses = ["127.0.0.1:8080"] }
"#;

/// The sound configuration with one text in place of another.
pub(super) fn changed(find: &str, replace: &str) -> String {
    assert!(SOUND.contains(find), "{find:?} does not stand in the configuration");
    SOUND.replacen(find, replace, 1)
}

/// A certification authority.
pub(super) struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

static ISSUING: LazyLock<Authority> = LazyLock::new(|| Authority::new("Issuing CA", "Example"));
static SERVER_KEY: LazyLock<PKey<Private>> = LazyLock::new(key);

impl Authority {
    pub(super) fn new(name: &str, organisation: &str) -> Self {
        let key = key();
        let mut builder = begin(&subject(name, organisation), &key);
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        let usage = KeyUsage::new().critical().key_cert_sign().crl_sign().build().unwrap();
        builder.append_extension(usage).unwrap();
        let context = builder.x509v3_context(None, None);
        let identifier = SubjectKeyIdentifier::new().build(&context).unwrap();
        builder.append_extension(identifier).unwrap();
        builder.set_issuer_name(&subject(name, organisation)).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        Self { certificate: builder.build(), key }
    }

    pub(super) fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().unwrap()
    }

    pub(super) fn crl(&self) -> Vec<u8> {
        let mut builder = X509CrlBuilder::new().unwrap();
        builder.set_issuer_name(self.certificate.subject_name()).unwrap();
        builder.set_last_update(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        builder.set_next_update(&Asn1Time::days_from_now(7).unwrap()).unwrap();
        let base = X509::builder().unwrap();
        let context = base.x509v3_context(Some(&self.certificate), None);
        let identifier = AuthorityKeyIdentifier::new().keyid(true).build(&context).unwrap();
        builder.append_extension(identifier).unwrap();
        builder.append_extension(crl_number_one()).unwrap();
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        builder.build().unwrap().to_pem().unwrap()
    }
}

/// `CRLNumber` of RFC 5280 §5.2.3: INTEGER 1.
fn crl_number_one() -> X509Extension {
    let oid = Asn1Object::from_str("2.5.29.20").unwrap();
    let value = Asn1OctetString::new_from_bytes(&[0x02, 0x01, 0x01]).unwrap();
    X509Extension::new_from_der(&oid, false, &value).unwrap()
}

fn key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn subject(name: &str, organisation: &str) -> X509Name {
    let mut builder = X509Name::builder().unwrap();
    builder.append_entry_by_nid(Nid::COUNTRYNAME, "FR").unwrap();
    builder.append_entry_by_nid(Nid::ORGANIZATIONNAME, organisation).unwrap();
    builder.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    builder.build()
}

fn begin(subject: &X509Name, key: &PKey<Private>) -> X509Builder {
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let mut serial = BigNum::new().unwrap();
    serial.rand(120, openssl::bn::MsbOption::ONE, false).unwrap();
    builder.set_serial_number(&Asn1Integer::from_bn(&serial).unwrap()).unwrap();
    builder.set_subject_name(subject).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(30).unwrap()).unwrap();
    builder
}

/// A private key that belongs to nothing, PEM.
pub(super) fn other_key() -> Vec<u8> {
    key().private_key_to_pem_pkcs8().unwrap()
}

fn server_certificate() -> X509 {
    let issuing = &*ISSUING;
    let mut builder = begin(&subject("www.10548.psd2.example-bank.fr", "Example"), &SERVER_KEY);
    builder.set_issuer_name(issuing.certificate.subject_name()).unwrap();
    let context = builder.x509v3_context(Some(&issuing.certificate), None);
    let identifier = AuthorityKeyIdentifier::new().keyid(true).build(&context).unwrap();
    builder.append_extension(identifier).unwrap();
    builder.sign(&issuing.key, MessageDigest::sha256()).unwrap();
    builder.build()
}

/// A directory that holds what [`SOUND`] names.
pub(super) struct Place(TempDir);

impl Place {
    pub(super) fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write("tpp.pem", server_certificate().to_pem().unwrap());
        place.write("tpp.key", SERVER_KEY.private_key_to_pem_pkcs8().unwrap());
        place.write("anchors.pem", ISSUING.pem());
        place.write("ca.crl", ISSUING.crl());
        place.write("admin.key", "0123456789abcdef0123456789abcdef\n");
        place.write("audit.key", hex::encode([7; 32]));
        place.write("eba.json", "[]");
        let metadata = r#"{"timestamp":"Sun Aug 16 00:00:16 UTC 2026"}"#;
        place.write("filemetadata.json", metadata);
        place
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new(""))).unwrap();
        fs::write(&path, content).unwrap();
        only_for_the_owner(&path);
    }

    /// Copies a file of [`SOUND`] under another name.
    pub(super) fn copy(&self, from: &str, to: &str) {
        self.write(to, fs::read(self.path(from)).unwrap());
    }

    pub(super) fn config(&self, text: &str) -> Config {
        Config::parse(text, &self.path("octroi.toml"))
            .unwrap_or_else(|problems| panic!("{problems}"))
    }

    pub(super) fn problems(&self, text: &str) -> Vec<Problem> {
        Config::parse(text, &self.path("octroi.toml")).expect_err("a refusal").0
    }
}

#[cfg(unix)]
fn only_for_the_owner(path: &Path) {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[cfg(not(unix))]
fn only_for_the_owner(_: &Path) {}
