//! The rules that keep a configuration from being open: each refusal here would otherwise let
//! somebody in who should have been asked for more.

use std::net::{IpAddr, SocketAddr};

use openssl::nid::Nid;
use openssl::x509::{X509, X509Crl};

use super::insecure::Insecure;
use super::key::Key;
use super::problem::quoted;
use super::reading::Reading;
use super::wire;

/// TPPs are identified by their certificate (Commission Delegated Regulation (EU) 2018/389, article
/// 34): a listener that would also take a call without one does not exist. A missing key was
/// reported before.
pub(super) fn client_certificate_is_required(
    value: Option<&str>,
    key: &Key,
    reading: &mut Reading<'_>,
) -> bool {
    match value {
        Some("required") => true,
        Some(other) => {
            reading.refuse(
                key,
                format!("is {}: a call without a QWAC would be let in", quoted(other)),
                "write `client_certificate = \"required\"`",
            );
            false
        }
        None => false,
    }
}

/// The admin listener shows and changes state without a certificate: it stays on this machine.
pub(super) fn admin_is_private(
    address: SocketAddr,
    insecure: Insecure,
    key: &Key,
    reading: &mut Reading<'_>,
) -> bool {
    let private = address.ip().is_loopback() || insecure.admin_on_any_address;
    if !private {
        reading.refuse(
            key,
            format!("is {address}: other machines could reach the administration"),
            "write a loopback address such as \"127.0.0.1:9443\"; if a network in between protects \
             it, set `insecure.admin_on_any_address = true`",
        );
    }
    private
}

/// Without anchors nothing can be verified.
pub(super) fn has_anchors(anchors: &[String], key: &Key, reading: &mut Reading<'_>) -> bool {
    if anchors.is_empty() {
        reading.refuse(
            key,
            "is empty: no certificate could be verified",
            "name the PEM files of the QTSPs whose QWACs you accept",
        );
    }
    !anchors.is_empty()
}

/// Somebody must say who is authorised.
pub(super) fn has_register(
    register: &wire::Register,
    key: &Key,
    reading: &mut Reading<'_>,
) -> bool {
    let named =
        register.eba.is_some() || register.eba_credit.is_some() || register.regafi.is_some();
    if !named {
        reading.refuse(
            key,
            "names no register: nobody would say which TPP is authorised",
            "add `[register.eba]`, `[register.regafi]` or both",
        );
    }
    named
}

/// A list that grants nothing when it is empty must not be read as "no restriction".
pub(super) fn is_listed(
    values: &[String],
    asked_of: &str,
    example: &str,
    key: &Key,
    reading: &mut Reading<'_>,
) -> bool {
    if values.is_empty() {
        let what = format!("is empty: nothing would be asked of {asked_of}");
        reading.refuse(key, what, format!("name at least one, for example `{example}`"));
    }
    !values.is_empty()
}

/// Each anchor needs a revocation list: without one, a revoked QWAC looks like any other.
pub(super) fn revocation_is_known(
    anchors: &[(String, Vec<u8>)],
    crls: &[(String, Vec<u8>)],
    insecure: Insecure,
    key: &Key,
    reading: &mut Reading<'_>,
) {
    if insecure.revocation_unchecked {
        return;
    }
    let lists: Vec<X509Crl> = crls.iter().filter_map(|(_, bytes)| crl(bytes)).collect();
    for (file, bytes) in anchors {
        for anchor in X509::stack_from_pem(bytes).unwrap_or_default() {
            let listed = lists.iter().any(|list| {
                let same = list.issuer_name().try_cmp(anchor.subject_name());
                same.is_ok_and(|order| order.is_eq())
            });
            if !listed {
                reading.refuse(
                    key,
                    format!("names no CRL of the anchor {}", subject(&anchor, file)),
                    "add the CRL that this CA publishes; only if you accept certificates that may \
                     have been revoked, set `insecure.revocation_unchecked = true`",
                );
            }
        }
    }
}

/// How an anchor is called: its common name, else the file that holds it.
fn subject(anchor: &X509, file: &str) -> String {
    let name = anchor.subject_name().entries_by_nid(Nid::COMMONNAME).next();
    let name = name.and_then(|entry| entry.data().to_string().ok());
    name.map_or_else(|| quoted(file), |name| format!("{} ({file})", quoted(&name)))
}

fn crl(bytes: &[u8]) -> Option<X509Crl> {
    X509Crl::from_pem(bytes).or_else(|_| X509Crl::from_der(bytes)).ok()
}

/// Whether a host can only be this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
