//! The QSEALCs of enrolled applications: known for API signatures as soon as they are enrolled here, and
//! soon after they are enrolled at another gateway of the same store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use certs::http_signature::Seal;
use policies::client::CertificateKind;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::authorization::AuthorizationServer;
use crate::store::StoreError;

/// How soon an enrolment at another gateway is noticed, by one small question.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often all applications are read, whatever the count of changes says.
const READ_EVERY: Duration = Duration::from_secs(10 * 60);

/// Follows the enrolled applications.
pub struct Enrolled {
    server: Arc<AuthorizationServer>,
    sender: watch::Sender<Vec<Seal>>,
    /// The count of changes when the applications were read last.
    version: Option<u64>,
}

impl Enrolled {
    /// Reads the applications once; whoever has the receiver learns of each change.
    pub async fn follow(server: Arc<AuthorizationServer>) -> (Self, watch::Receiver<Vec<Seal>>) {
        let (sender, receiver) = watch::channel(Vec::new());
        let mut enrolled = Self { server, sender, version: None };
        enrolled.look(true).await;
        (enrolled, receiver)
    }

    /// Works until `closing`.
    pub async fn run(mut self, mut closing: watch::Receiver<bool>) {
        let mut changes = self.server.changes();
        let mut read_at = Instant::now() + READ_EVERY;
        loop {
            let here = tokio::select! {
                changed = changes.changed() => changed.is_ok(),
                () = tokio::time::sleep(LOOK_EVERY) => false,
                _ = closing.changed() => return,
            };
            let all = here || Instant::now() >= read_at;
            if all {
                read_at = Instant::now() + READ_EVERY;
            }
            self.look(all).await;
        }
    }

    async fn look(&mut self, all: bool) {
        if let Err(error) = self.read(all).await {
            self.version = None;
            tracing::warn!(%error, "enrolled QSEALCs cannot be read; those that are known stay");
        }
    }

    async fn read(&mut self, all: bool) -> Result<(), StoreError> {
        // Asked first: what changes while the applications are read is read again.
        let version = self.server.clients_version().await?;
        if !all && self.version == Some(version) {
            return Ok(());
        }
        let clients = self.server.clients().await?;
        let seals: Vec<Seal> = clients
            .iter()
            .flat_map(|client| &client.certificates)
            .filter(|certificate| certificate.kind == CertificateKind::Qsealc)
            .filter_map(|certificate| Seal::read(certificate.pem.as_bytes()).ok())
            .collect();
        self.version = Some(version);
        self.sender.send_if_modified(|known| {
            let changed = fingerprints(known) != fingerprints(&seals);
            *known = seals;
            changed
        });
        Ok(())
    }
}

fn fingerprints(seals: &[Seal]) -> BTreeSet<[u8; 32]> {
    seals.iter().map(|seal| *seal.certificate().fingerprint()).collect()
}
