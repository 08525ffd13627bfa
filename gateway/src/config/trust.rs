//! `[trust]`: the anchors, their revocation lists, and what a QWAC must look like.

use certs::{Anchors, ClientAuthEku, ProfilePolicy, Revocations};

use super::insecure::Insecure;
use super::key::Key;
use super::limits::{CRL_BYTES_MAX, PEM_BYTES_MAX};
use super::reading::Reading;
use super::safety;
use super::wire;

/// Whom the gateway believes. The bytes were read once and parse.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Files and PEM bytes of the anchors; together at least one certificate.
    pub anchors: Vec<(String, Vec<u8>)>,
    /// Files and bytes (PEM or DER) of the revocation lists.
    pub crls: Vec<(String, Vec<u8>)>,
    /// What a QWAC must look like.
    pub profile: ProfilePolicy,
}

impl Trust {
    /// The anchors come apart as well: they are judged further even when the rest is not sound.
    pub(super) fn read(
        wire: &wire::Trust,
        insecure: Insecure,
        key: &Key,
        reading: &mut Reading<'_>,
    ) -> (Option<Self>, Option<Anchors>) {
        let place = key.child("anchors");
        let paths = wire.anchors.as_deref().unwrap_or_default();
        let named = wire.anchors.is_none() || safety::has_anchors(paths, &place, reading);
        let anchors = files(paths, &place, PEM_BYTES_MAX, reading);
        let set = anchors.as_deref().and_then(|files| anchor_set(files, &place, reading));
        let place = key.child("crls");
        let crls = files(&wire.crls, &place, CRL_BYTES_MAX, reading);
        if let (Some(anchors), Some(set), Some(crls)) = (&anchors, &set, &crls) {
            are_lists_of(set, crls, &place, reading);
            safety::revocation_is_known(anchors, crls, insecure, &place, reading);
        }
        let profile = profile(wire.client_auth_eku, &key.child("client_auth_eku"), reading);
        let trust = match (anchors, crls) {
            (Some(anchors), Some(crls)) if named && set.is_some() => {
                Some(Self { anchors, crls, profile })
            }
            _ => None,
        };
        (trust, set)
    }
}

/// Files with their bytes, as the parsers of `certs` take them.
pub(crate) fn borrowed(files: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    files.iter().map(|(file, bytes)| (file.as_str(), bytes.as_slice())).collect()
}

fn files(
    paths: &[String],
    key: &Key,
    bytes_max: u64,
    reading: &mut Reading<'_>,
) -> Option<Vec<(String, Vec<u8>)>> {
    let read = |(index, path): (usize, &String)| {
        let bytes = reading.file(&key.item(index), path, bytes_max)?;
        Some((path.clone(), bytes))
    };
    // Every file is read before the first failure counts.
    paths.iter().enumerate().map(read).collect::<Vec<_>>().into_iter().collect()
}

/// Each file alone first, so that the mistake is found in the file that holds it.
fn anchor_set(
    files: &[(String, Vec<u8>)],
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<Anchors> {
    let mend = "give a PEM file with the certificates of issuing QTSPs";
    let mut sound = !files.is_empty();
    for (index, (file, bytes)) in files.iter().enumerate() {
        if let Err(error) = Anchors::from_pem(&[(file, bytes)]) {
            reading.refuse(&key.item(index), error.to_string(), mend);
            sound = false;
        }
    }
    if !sound {
        return None;
    }
    let anchors = Anchors::from_pem(&borrowed(files));
    anchors.map_err(|error| reading.refuse(key, error.to_string(), mend)).ok()
}

/// Each list must have been signed by one of the anchors.
fn are_lists_of(
    anchors: &Anchors,
    crls: &[(String, Vec<u8>)],
    key: &Key,
    reading: &mut Reading<'_>,
) {
    for (index, (file, bytes)) in crls.iter().enumerate() {
        if let Err(error) = Revocations::from_crls(&[(file, bytes)], anchors) {
            let mend = "give the current CRL of an anchor, PEM or DER, unchanged";
            reading.refuse(&key.item(index), error.to_string(), mend);
        }
    }
}

fn profile(wire: wire::ClientAuthEku, key: &Key, reading: &mut Reading<'_>) -> ProfilePolicy {
    let client_auth_eku = match wire {
        wire::ClientAuthEku::Require => ClientAuthEku::Require,
        wire::ClientAuthEku::AcceptServerAuthOnly => {
            reading.warn(key, "a QWAC for servers only is accepted from a TPP");
            ClientAuthEku::AcceptServerAuthOnly
        }
        wire::ClientAuthEku::Ignore => {
            reading.warn(key, "the extended key usage of a QWAC is not looked at");
            ClientAuthEku::Ignore
        }
    };
    ProfilePolicy { client_auth_eku }
}
