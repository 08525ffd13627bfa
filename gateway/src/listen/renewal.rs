//! A server certificate that is renewed on disk comes into use without a restart: handshakes that
//! begin later see it, connections that are open keep what they began with.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use openssl::asn1::Asn1Time;
use openssl::error::ErrorStack;
use openssl::ssl::SslAcceptor;
use openssl::x509::X509;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::config::{KeyPair, RenewalError};

/// How often the two files are read: they are small, and a renewal is not in a hurry.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A renewal writes two files, one after the other: only what is still wrong at the next look is
/// wrong.
const LOOKS_UNTIL_WRONG: u32 = 2;
const SECONDS_PER_DAY: i64 = 86_400;

/// Makes TLS of a PEM chain and its PEM key.
pub type Build = fn(&[u8], &[u8]) -> Result<SslAcceptor, ErrorStack>;

/// Keeps the certificate of one listener what its files say.
pub struct Renewal {
    listener: &'static str,
    build: Build,
    pair: KeyPair,
    acceptor: Arc<ArcSwap<SslAcceptor>>,
    metrics: RenewalMetrics,
    /// How many looks in a row found something that cannot be used.
    wrong: u32,
    /// The files that a reload names.
    named: watch::Receiver<KeyPair>,
}

impl Renewal {
    /// Begins with `pair`, as the configuration read it; goes on with the files of each other pair that
    /// is sent.
    ///
    /// # Errors
    /// OpenSSL's, when it makes no TLS of the pair.
    pub fn new(
        listener: &'static str,
        build: Build,
        pair: KeyPair,
        metrics: RenewalMetrics,
    ) -> Result<(Self, watch::Sender<KeyPair>), ErrorStack> {
        let acceptor = build(&pair.certificate_pem, pair.key_pem.expose())?;
        let acceptor = Arc::new(ArcSwap::from_pointee(acceptor));
        metrics.show(listener, &pair);
        let (names, named) = watch::channel(pair.clone());
        Ok((Self { listener, build, pair, acceptor, metrics, wrong: 0, named }, names))
    }

    /// What handshakes are made with, now and after each renewal.
    pub fn acceptor(&self) -> Arc<ArcSwap<SslAcceptor>> {
        Arc::clone(&self.acceptor)
    }

    /// Looks at the files until the gateway closes.
    pub async fn run(mut self, mut closing: watch::Receiver<bool>) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = look.tick() => tokio::task::block_in_place(|| self.look()),
                Ok(()) = self.named.changed() => {
                    self.pair.look_at_files_of(&self.named.borrow_and_update());
                    tokio::task::block_in_place(|| self.look());
                }
                _ = closing.changed() => return,
            }
        }
    }

    fn look(&mut self) {
        match self.renewed() {
            Ok(renewed) => {
                self.wrong = 0;
                if renewed {
                    self.metrics.count(self.listener, "ok");
                    self.metrics.show(self.listener, &self.pair);
                    tracing::info!(
                        listener = self.listener,
                        "a renewed server certificate is in use"
                    );
                }
            }
            Err(error) => {
                self.wrong = self.wrong.saturating_add(1);
                if self.wrong == LOOKS_UNTIL_WRONG {
                    self.metrics.count(self.listener, "failed");
                    tracing::error!(
                        listener = self.listener,
                        %error,
                        "the server certificate on disk cannot be used; the one in use stays"
                    );
                }
            }
        }
    }

    fn renewed(&mut self) -> Result<bool, Fault> {
        let Some(pair) = self.pair.read_again()? else { return Ok(false) };
        let acceptor = (self.build)(&pair.certificate_pem, pair.key_pem.expose())?;
        self.acceptor.store(Arc::new(acceptor));
        self.pair = pair;
        Ok(true)
    }
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Pair(#[from] RenewalError),
    #[error(transparent)]
    Tls(#[from] ErrorStack),
}

/// The series of the server certificates.
#[derive(Clone)]
pub struct RenewalMetrics {
    renewals: IntCounterVec,
    ends: IntGaugeVec,
}

impl RenewalMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// Prometheus' own, for a name registered twice.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            renewals: IntCounterVec::new(
                Opts::new(
                    "octroi_server_certificate_renewals_total",
                    "Server certificates that changed on disk, by what came of it",
                ),
                &["listener", "outcome"],
            )?,
            ends: IntGaugeVec::new(
                Opts::new(
                    "octroi_server_certificate_ends_timestamp_seconds",
                    "When the server certificate in use expires, Unix time",
                ),
                &["listener"],
            )?,
        };
        registry.register(Box::new(metrics.renewals.clone()))?;
        registry.register(Box::new(metrics.ends.clone()))?;
        Ok(metrics)
    }

    fn count(&self, listener: &'static str, outcome: &'static str) {
        self.renewals.with_label_values(&[listener, outcome]).inc();
    }

    fn show(&self, listener: &'static str, pair: &KeyPair) {
        // An alert sees the first failure only of a series that was there before.
        for outcome in ["ok", "failed"] {
            self.renewals.with_label_values(&[listener, outcome]);
        }
        if let Some(ends) = not_after(&pair.certificate_pem) {
            self.ends.with_label_values(&[listener]).set(ends);
        }
    }
}

/// When the first certificate expires, in Unix time.
fn not_after(pem: &[u8]) -> Option<i64> {
    let leaf = X509::from_pem(pem).ok()?;
    let epoch = Asn1Time::from_unix(0).ok()?;
    let left = epoch.diff(leaf.not_after()).ok()?;
    Some(i64::from(left.days) * SECONDS_PER_DAY + i64::from(left.secs))
}
