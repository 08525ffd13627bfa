//! The certificates that were shown, as the log keeps them: read once, judged once per set of anchors
//! and day.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use certs::{Anchors, Identity, Leaf};
use jiff::Timestamp;
use policies::World;

/// The directory, within that of the log.
const CERTIFICATES: &str = "certificates";
/// Seconds of a day: which of several paths counts may change when a CA ends.
const DAY_SECONDS: i64 = 86_400;

/// The certificate, the anchors (by where they lie in memory), what a QWAC must look like, the day.
type Key = (String, usize, u8, i64);
/// What it proves, beside the anchors that it was proved to.
type Known = HashMap<Key, (Arc<Anchors>, Arc<Identity>)>;
/// A chain in DER, the leaf first.
type Sent = Arc<Vec<Vec<u8>>>;

/// The certificates of a log.
pub struct Certificates {
    directory: PathBuf,
    sent: RwLock<HashMap<String, Option<Sent>>>,
    known: RwLock<Known>,
}

impl Certificates {
    /// Those of the log in `directory`.
    #[must_use]
    pub fn of(directory: &Path) -> Self {
        let directory = directory.join(CERTIFICATES);
        Self { directory, sent: RwLock::default(), known: RwLock::default() }
    }

    /// Where certificate `sha256` lies.
    #[must_use]
    pub fn path(&self, sha256: &str) -> PathBuf {
        self.directory.join(format!("{sha256}.pem"))
    }

    /// What certificate `sha256` proves in `world`; nothing where it was not kept.
    pub fn identity(
        &self,
        sha256: &str,
        world: &Arc<World>,
        at: Timestamp,
    ) -> Option<Arc<Identity>> {
        let anchors = Arc::as_ptr(&world.anchors) as usize;
        let profile = world.profile.client_auth_eku as u8;
        let key = (sha256.to_owned(), anchors, profile, at.as_second().div_euclid(DAY_SECONDS));
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, identity)) = known.get(&key) {
            return Some(Arc::clone(identity));
        }
        drop(known);
        let sent = self.sent(sha256)?;
        let (leaf, above) = sent.split_first()?;
        let identity = Identity::establish(leaf, above, &world.anchors, &world.profile, at);
        let identity = Arc::new(identity);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // They stay with it, so that no other anchors come to lie in the same place.
        known.insert(key, (Arc::clone(&world.anchors), Arc::clone(&identity)));
        Some(identity)
    }

    fn sent(&self, sha256: &str) -> Option<Sent> {
        let known = self.sent.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(sent) = known.get(sha256) {
            return sent.clone();
        }
        drop(known);
        // A name is a digest: whatever else a line says is none of our files.
        let named = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        let pem = named.then(|| std::fs::read(self.path(sha256)).ok()).flatten();
        let sent = pem.and_then(|pem| Leaf::ders_of_pem(&pem).ok());
        let ours = |sent: &Vec<Vec<u8>>| {
            sent.first().is_some_and(|leaf| hex::encode(certs::sha256(leaf)) == sha256)
        };
        let sent = sent.filter(ours).map(Arc::new);
        let mut known = self.sent.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(sha256.to_owned(), sent.clone());
        sent
    }
}
