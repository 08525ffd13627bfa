//! `[trust]`: the anchors, their revocation lists, and what a QWAC must look like.

use std::path::PathBuf;
use std::time::Duration;

use certs::{Anchors, ClientAuthEku, ProfilePolicy, Revocations};

use super::insecure::Insecure;
use super::key::Key;
use super::limits::{CRL_BYTES_MAX, PEM_BYTES_MAX, REVOCATION_REFRESH_MIN};
use super::origin::{Origin, origins};
use super::reading::Reading;
use super::safety;
use super::wire;

/// Whom the gateway believes. The bytes were read once and parse.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Files and PEM bytes of the anchors; together at least one certificate.
    pub anchors: Vec<(String, Vec<u8>)>,
    /// Files and PEM bytes of the CAs that complete paths.
    pub intermediates: Vec<(String, Vec<u8>)>,
    /// Files and bytes (PEM or DER) of the revocation lists.
    pub crls: Vec<(String, Vec<u8>)>,
    /// The trusted lists.
    pub lists: Option<ListSettings>,
    /// How more is fetched.
    pub revocation: Option<RevocationSettings>,
    /// What a QWAC must look like.
    pub profile: ProfilePolicy,
}

/// The trusted lists.
#[derive(Clone, Debug)]
pub struct ListSettings {
    /// Where the snapshots are.
    pub directory: PathBuf,
    /// How the gateway imports by itself.
    pub import: Option<ListImport>,
}

/// How the gateway imports trusted lists by itself.
#[derive(Clone, Debug)]
pub struct ListImport {
    /// URL of the list of lists.
    pub list_of_lists: String,
    /// The certificates that may sign it, in DER.
    pub signers: Vec<Vec<u8>>,
    /// Who may be asked.
    pub allow: Vec<Origin>,
    /// The territories that matter; none: all.
    pub territories: Vec<String>,
    /// How often.
    pub every: Duration,
}

/// The fetching of revocation lists and OCSP answers.
#[derive(Clone, Debug)]
pub struct RevocationSettings {
    /// Where answers are kept.
    pub directory: PathBuf,
    /// Who may be asked.
    pub allow: Vec<Origin>,
    /// How often.
    pub refresh: Duration,
    /// How long after its end an answer still counts.
    pub tolerated_for: Duration,
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
        let listed = wire.lists.is_some();
        let named = wire.anchors.is_none() || listed || safety::has_anchors(paths, &place, reading);
        let anchors = files(paths, &place, PEM_BYTES_MAX, reading);
        let mut set = anchors.as_deref().and_then(|files| match files {
            [] if listed => Some(Anchors::default()),
            files => anchor_set(files, &place, reading),
        });
        let place = key.child("lists");
        let lists = wire.lists.as_ref().map(|wire| ListSettings::read(wire, &place, reading));
        let sound = !matches!(lists, Some(None));
        let lists = lists.flatten();
        let place = key.child("intermediates");
        let intermediates = files(&wire.intermediates, &place, PEM_BYTES_MAX, reading);
        if let (Some(set), Some(files)) = (&mut set, &intermediates)
            && let Err(error) = set.add_intermediates(&borrowed(files))
        {
            reading.refuse(&place, error.to_string(), "give PEM files of CAs below the anchors");
        }
        let place = key.child("revocation");
        let revocation = wire.revocation.as_ref();
        let fetched = revocation.and_then(|wire| RevocationSettings::read(wire, &place, reading));
        let place = key.child("crls");
        let crls = files(&wire.crls, &place, CRL_BYTES_MAX, reading);
        if let (Some(anchors), Some(set), Some(crls)) = (&anchors, &set, &crls) {
            // The CAs of the trusted lists are not known here; the world is built with them.
            if !listed {
                are_lists_of(set, crls, &place, reading);
            }
            if wire.revocation.is_none() {
                safety::revocation_is_known(anchors, crls, insecure, &place, reading);
            }
        }
        let profile = profile(wire.client_auth_eku, &key.child("client_auth_eku"), reading);
        let trust = match (anchors, intermediates, crls) {
            (Some(anchors), Some(intermediates), Some(crls)) if named && sound && set.is_some() => {
                Some(Self { anchors, intermediates, crls, lists, revocation: fetched, profile })
            }
            _ => None,
        };
        (trust, set)
    }
}

impl ListSettings {
    fn read(wire: &wire::Lists, key: &Key, reading: &mut Reading<'_>) -> Option<Self> {
        let directory = wire.directory.as_deref().map(|path| reading.path(path));
        let Some(url) = &wire.list_of_lists else {
            return Some(Self { directory: directory?, import: None });
        };
        let allow = origins(&wire.allow, &key.child("allow"), reading);
        let place = key.child("list_of_lists");
        let origin = reqwest::Url::parse(url).ok().and_then(|url| Origin::of(&url));
        let allowed = match (&origin, &allow) {
            (Some(origin), Some(allow)) => allow.contains(origin),
            _ => false,
        };
        if !allowed {
            let what = "is not of an origin in `allow`";
            reading.refuse(&place, what, "add its scheme and host to `trust.lists.allow`");
        }
        let place = key.child("signers");
        if wire.signers.is_empty() {
            let what = "is empty: nobody could have signed the list of lists";
            reading.refuse(&place, what, "give the certificates that the Official Journal names");
        }
        let pems = files(&wire.signers, &place, PEM_BYTES_MAX, reading)?;
        let mut signers = Vec::new();
        for (index, (_, pem)) in pems.iter().enumerate() {
            match certs::Leaf::ders_of_pem(pem) {
                Ok(ders) => signers.extend(ders),
                Err(error) => {
                    let mend = "give certificates in PEM";
                    reading.refuse(&place.item(index), error.to_string(), mend);
                }
            }
        }
        let every = reading.duration(&key.child("every"), &wire.every);
        Some(Self {
            directory: directory?,
            import: Some(ListImport {
                list_of_lists: url.clone(),
                signers,
                allow: allow.filter(|_| allowed)?,
                territories: wire.territories.clone(),
                every: every?,
            }),
        })
    }
}

impl RevocationSettings {
    fn read(wire: &wire::Revocation, key: &Key, reading: &mut Reading<'_>) -> Option<Self> {
        let directory = wire.directory.as_deref().map(|path| reading.path(path));
        let place = key.child("allow");
        let allow = wire.allow.as_deref().unwrap_or_default();
        if wire.allow.is_some() && allow.is_empty() {
            reading.refuse(
                &place,
                "is empty: nobody could be asked",
                "name the origins of your QTSPs' CRLs and OCSP responders; `octroi cert inspect` \
                 shows those of a QWAC",
            );
        }
        let allow = origins(allow, &place, reading);
        let place = key.child("refresh");
        let refresh = reading.duration(&place, &wire.refresh);
        if refresh.is_some_and(|refresh| refresh < REVOCATION_REFRESH_MIN) {
            let what = format!("is below {} s", REVOCATION_REFRESH_MIN.as_secs());
            reading.refuse(&place, what, "ask less often: responders ban who asks too much");
        }
        let tolerated_for = match &wire.tolerated_for {
            None => Some(Duration::ZERO),
            Some(text) => {
                let key = key.child("tolerated_for");
                let duration = reading.duration(&key, text);
                reading.warn(&key, "an answer counts after the end that its issuer gave it");
                duration
            }
        };
        Some(Self {
            directory: directory?,
            allow: allow.filter(|allow| !allow.is_empty())?,
            refresh: refresh?,
            tolerated_for: tolerated_for?,
        })
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

pub(super) fn profile(
    wire: wire::ClientAuthEku,
    key: &Key,
    reading: &mut Reading<'_>,
) -> ProfilePolicy {
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
