//! The side-by-side benchmark: what a full Octroi costs over the least that a Pingora proxy with
//! mTLS can cost.
//!
//! Both run with one thread in processes of their own, against one upstream, under one load, in
//! turns. CPU time is read from the kernel, not from a clock: another tenant of the machine then
//! disturbs little. Only ratios travel between machines.
//!
//! What is measured so is also the input of [`capacity`]: how many machines a load needs.

pub mod audit_log;
pub mod capacity;
pub mod load;
pub mod process;
pub mod redis_alone;
pub mod registers;
pub mod stage;
pub mod turn;

use thiserror::Error;

/// Why there is no result. A benchmark with a failed request has none.
#[derive(Debug, Error)]
pub enum BenchError {
    /// The system refuses something.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What it says.
        source: std::io::Error,
    },
    /// TLS cannot be set up or fails.
    #[error("{doing}: {why}")]
    Tls {
        /// What was being done.
        doing: &'static str,
        /// What OpenSSL says.
        why: String,
    },
    /// A process that must be there is not, or ended.
    #[error("{0}")]
    Process(String),
    /// Something else than the expected answer.
    #[error("{server} answered {status} instead of 200: {body}")]
    Answer {
        /// Which of the two.
        server: String,
        /// Its status; 0 for no HTTP at all.
        status: u16,
        /// The beginning of its body.
        body: String,
    },
}

impl BenchError {
    /// Names what was being done when the system refused.
    pub fn system(doing: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::System { doing, source }
    }

    /// Names what was being done when TLS failed.
    pub fn tls<E: ToString>(doing: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::Tls { doing, why: error.to_string() }
    }
}
