//! `[signature]`: requests signed with a QSEALC.

use std::path::PathBuf;
use std::time::Duration;

use certs::http_signature::{Seal, SignatureForm, SignatureMethod, SignaturePolicy};
use jiff::SignedDuration;

use super::key::Key;
use super::limits::PEM_BYTES_MAX;
use super::origin::{Origin, origins};
use super::problem::quoted;
use super::reading::Reading;
use super::safety;
use super::wire;

/// What is asked of signed requests, and who may sign them.
#[derive(Clone, Debug)]
pub struct SignatureSettings {
    /// The known QSEALCs.
    pub seals: Vec<Seal>,
    /// Where more of them are published.
    pub fetch: Option<SealFetch>,
    /// Whether TPPs enrol theirs here.
    pub enrols: bool,
    /// What a signature must be.
    pub policy: SignaturePolicy,
}

/// The fetching of QSEALCs.
#[derive(Clone, Debug)]
pub struct SealFetch {
    /// Each the address of one QSEALC.
    pub urls: Vec<String>,
    /// Who may be asked.
    pub allow: Vec<Origin>,
    /// Where they are kept.
    pub directory: PathBuf,
    /// How often.
    pub every: Duration,
}

impl SignatureSettings {
    fn knows_nobody(&self) -> bool {
        self.seals.is_empty() && self.fetch.is_none() && !self.enrols
    }

    pub(super) fn read(
        wire: &wire::Signature,
        enrols: bool,
        key: &Key,
        reading: &mut Reading<'_>,
    ) -> Option<Self> {
        let place = key.child("seals");
        let seals = seals(&wire.seals, &place, reading);
        if wire.seals.is_empty() && wire.fetch.is_none() && !enrols {
            let mend =
                "name the QSEALCs of your TPPs, or where they are published (`signature.fetch`)";
            reading.refuse(&place, "is empty: nobody could sign a request", mend);
        }
        let place = key.child("fetch");
        let fetch = wire.fetch.as_ref().map(|wire| SealFetch::read(wire, &place, reading));
        let place = key.child("algorithms");
        let listed =
            safety::is_listed(&wire.algorithms, "the signature", "rsa-sha256", &place, reading);
        let methods = methods(&wire.algorithms, &place, reading);
        if wire.forms.is_empty() {
            let mend = "write \"cavage\", \"rfc9421\" or both";
            reading.refuse(&key.child("forms"), "is empty: no signature is accepted", mend);
        }
        let lower = covered(&wire.covered, &key.child("covered"), reading);
        let age_max = reading.duration(&key.child("age_max"), &wire.age_max);
        let skew_max = reading.duration(&key.child("skew_max"), &wire.skew_max);
        let form = |form: &wire::SignatureForm| match form {
            wire::SignatureForm::Cavage => SignatureForm::Cavage,
            wire::SignatureForm::Rfc9421 => SignatureForm::Message,
        };
        let policy = SignaturePolicy {
            forms: wire.forms.iter().map(form).collect(),
            methods: methods?,
            fields: wire.covered.clone(),
            age_max: SignedDuration::try_from(age_max?).ok()?,
            skew_max: SignedDuration::try_from(skew_max?).ok()?,
            sha1_key_ids: wire.sha1_key_ids,
        };
        let fetch = match fetch {
            None => None,
            Some(read) => Some(read?),
        };
        (listed && lower).then_some(Self { seals: seals?, fetch, enrols, policy })
    }
}

impl SealFetch {
    fn read(wire: &wire::SealFetch, key: &Key, reading: &mut Reading<'_>) -> Option<Self> {
        let directory = wire.directory.as_deref().map(|path| reading.path(path));
        let every = reading.duration(&key.child("every"), &wire.every);
        let allow = wire.allow.as_deref().unwrap_or_default();
        let allow = origins(allow, &key.child("allow"), reading)?;
        let place = key.child("urls");
        let urls = wire.urls.as_deref().unwrap_or_default();
        let mut sound = true;
        if wire.urls.is_some() && urls.is_empty() {
            reading.refuse(
                &place,
                "is empty: nothing would be fetched",
                "name at least one address",
            );
            sound = false;
        }
        for (index, url) in urls.iter().enumerate() {
            let origin = reqwest::Url::parse(url).ok().and_then(|url| Origin::of(&url));
            if !origin.is_some_and(|origin| allow.contains(&origin)) {
                let what = format!("is {}: not of an origin in `allow`", quoted(url));
                let mend = "add its scheme and host to `signature.fetch.allow`";
                reading.refuse(&place.item(index), what, mend);
                sound = false;
            }
        }
        sound.then_some(Self { urls: urls.to_vec(), allow, directory: directory?, every: every? })
    }
}

fn seals(paths: &[String], key: &Key, reading: &mut Reading<'_>) -> Option<Vec<Seal>> {
    let mut seals = Vec::new();
    let mut sound = true;
    for (index, path) in paths.iter().enumerate() {
        let place = key.item(index);
        let Some(pem) = reading.file(&place, path, PEM_BYTES_MAX) else {
            sound = false;
            continue;
        };
        match Seal::read(&pem) {
            Ok(seal) => seals.push(seal),
            Err(why) => {
                let mend = "give the QSEALC in PEM, the CAs above it after it";
                reading.refuse(&place, format!("{path}: {why}"), mend);
                sound = false;
            }
        }
    }
    sound.then_some(seals)
}

fn methods(names: &[String], key: &Key, reading: &mut Reading<'_>) -> Option<Vec<SignatureMethod>> {
    let method = |(index, name): (usize, &String)| {
        let method = SignatureMethod::from_name(name);
        if method.is_none() {
            let known = SignatureMethod::ALL.map(SignatureMethod::name).join(", ");
            let what = format!("is {}: no algorithm that is known", quoted(name));
            reading.refuse(&key.item(index), what, format!("write one of {known}"));
        }
        method
    };
    names.iter().enumerate().map(method).collect::<Vec<_>>().into_iter().collect()
}

fn covered(names: &[String], key: &Key, reading: &mut Reading<'_>) -> bool {
    let mut sound = true;
    for (index, name) in names.iter().enumerate() {
        let lower = !name.is_empty() && *name == name.to_ascii_lowercase();
        if !lower {
            let what = format!("is {}: no header field in lower case", quoted(name));
            reading.refuse(&key.item(index), what, "write it as \"x-request-id\"");
            sound = false;
        }
    }
    sound
}

/// An API that must be signed, with nobody who could sign, would refuse every call.
pub(super) fn somebody_signs(
    wire: &wire::Document,
    settings: Option<&SignatureSettings>,
    reading: &mut Reading<'_>,
) {
    for (index, api) in wire.api.iter().flatten().enumerate() {
        if api.signed && settings.is_none_or(SignatureSettings::knows_nobody) {
            reading.refuse(
                &Key::root().child("api").item(index).child("signed"),
                "is true, and no QSEALC is known: nobody could sign a request",
                "name the QSEALCs of your TPPs in `signature.seals`",
            );
        }
    }
}
