//! A server certificate that is renewed on disk: every handshake succeeds while it changes, the next
//! ones see the new one, and what is half written is never served.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use harness::eventually;
use harness::gateway::{Gateway, HOST};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslConnector, SslFiletype, SslMethod, SslVerifyMode};
use openssl::x509::{X509, X509Name};

/// Clients that connect as fast as they can while the certificate changes.
const CLIENTS: usize = 64;

struct Pair {
    certificate: X509,
    key: PKey<Private>,
}

fn pair(serial: u32, days: u32) -> Pair {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_nid(Nid::COMMONNAME, HOST).unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let serial = BigNum::from_u32(serial).unwrap().to_asn1_integer().unwrap();
    builder.set_serial_number(&serial).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::from_unix(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(days).unwrap()).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    Pair { certificate: builder.build(), key }
}

/// The two files of the listeners; both listeners of the sandbox share them.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn of(gateway: &Gateway) -> Self {
        let config = gateway.place().config();
        let tpp = config["listen"]["tpp"].as_table().unwrap();
        let file = |key: &str| gateway.place().dir().join(tpp[key].as_str().unwrap());
        Self { certificate: file("certificate"), key: file("key_file") }
    }

    fn write(&self, certificate: &[u8], key: &[u8]) {
        replace(&self.certificate, certificate);
        replace(&self.key, key);
    }

    fn renew(&self, pair: &Pair) {
        self.write(
            &pair.certificate.to_pem().unwrap(),
            &pair.key.private_key_to_pem_pkcs8().unwrap(),
        );
    }
}

fn replace(file: &Path, bytes: &[u8]) {
    let beside = file.with_extension("new");
    fs::write(&beside, bytes).unwrap();
    fs::rename(beside, file).unwrap();
}

fn connector(gateway: &Gateway) -> SslConnector {
    let tpp = gateway.place().file("tpp/funds-co");
    let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
    builder.set_verify(SslVerifyMode::NONE);
    builder.set_certificate_chain_file(tpp.join("qwac.pem")).unwrap();
    builder.set_private_key_file(tpp.join("qwac.key"), SslFiletype::PEM).unwrap();
    builder.build()
}

/// The certificate that a new connection sees.
fn seen(gateway: &Gateway, connector: &SslConnector) -> Result<Vec<u8>, String> {
    let socket = TcpStream::connect(gateway.addresses.tpp).map_err(|error| error.to_string())?;
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let stream = connector.connect(HOST, socket).map_err(|error| error.to_string())?;
    Ok(stream.ssl().peer_certificate().unwrap().to_der().unwrap())
}

/// Ends the clients, also when the test fails: its scope waits for them.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_renewed_certificate_is_served_without_a_failed_handshake_under_load() {
    let gateway = Gateway::sandbox();
    let (files, connector) = (Files::of(&gateway), connector(&gateway));
    let token = gateway.token("funds-co", "gilles", &[]);
    let request = gateway.request(&token).octets();
    let mut open = gateway.tpp("funds-co").connect(HOST).unwrap();
    assert_eq!(open.exchange(&request).unwrap().status, 200);

    let (done, handshakes) = (AtomicBool::new(false), AtomicUsize::new(0));
    let renewed = pair(7, 90);
    let expected = renewed.certificate.to_der().unwrap();
    std::thread::scope(|scope| {
        let end = Ending(&done);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        seen(&gateway, &connector)?;
                        handshakes.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok::<(), String>(())
                })
            })
            .collect();
        eventually("clients connect", || {
            (handshakes.load(Ordering::Relaxed) > CLIENTS).then_some(())
        });
        files.renew(&renewed);
        eventually("the renewed certificate is served", || {
            (seen(&gateway, &connector).as_ref() == Ok(&expected)).then_some(())
        });
        drop(end);
        for client in clients {
            client.join().unwrap().expect("no handshake fails");
        }
    });

    assert_eq!(open.exchange(&request).unwrap().status, 200, "an open connection goes on");
    let metrics = gateway.metrics();
    for series in [
        "octroi_server_certificate_renewals_total{listener=\"tpp\",outcome=\"ok\"} 1",
        "octroi_tls_handshakes_total{outcome=\"failed\"} 0",
    ] {
        assert!(metrics.contains(series), "{series}: {metrics}");
    }
}

#[test]
fn what_is_no_pair_or_has_expired_is_never_served() {
    let gateway = Gateway::sandbox();
    let (files, connector) = (Files::of(&gateway), connector(&gateway));
    let mut before = seen(&gateway, &connector).unwrap();
    let (one, other, late) = (pair(1, 90), pair(2, 90), pair(3, 0));
    let key = |pair: &Pair| pair.key.private_key_to_pem_pkcs8().unwrap();
    let good = one.certificate.to_pem().unwrap();
    let wrong: [(&str, Vec<u8>, Vec<u8>); 4] = [
        ("is not the key of the first certificate", good.clone(), key(&other)),
        ("holds no readable certificate", b"-----BEGIN CERTIFICATE-----\n".to_vec(), key(&one)),
        ("holds no readable private key", good.clone(), b"no key".to_vec()),
        ("has expired", late.certificate.to_pem().unwrap(), key(&late)),
    ];
    for (fault, certificate, key) in wrong {
        files.write(&certificate, &key);
        eventually(fault, || gateway.place().log().contains(fault).then_some(()));
        assert_eq!(seen(&gateway, &connector).unwrap(), before, "{fault}");
        let log = gateway.place().log();
        assert!(!log.contains("PRIVATE KEY-----"), "{fault}: the key is in the log");
        // A sound pair between two faults, so that each of them is told.
        let sound = pair(4, 90);
        files.renew(&sound);
        let expected = sound.certificate.to_der().unwrap();
        eventually("a sound pair is served again", || {
            (seen(&gateway, &connector).as_ref() == Ok(&expected)).then_some(())
        });
        before = expected;
    }
    let failed = "octroi_server_certificate_renewals_total{listener=\"tpp\",outcome=\"failed\"} 4";
    assert!(gateway.metrics().contains(failed), "{}", gateway.metrics());
}
