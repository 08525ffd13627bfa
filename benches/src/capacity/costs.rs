//! What one request, handshake, connection, record and Redis command costs, as `cost` measures it.

use serde::{Deserialize, Serialize};

/// Figures of one machine. Times are CPU microseconds, sizes octets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Processor, system and version of Redis.
    pub machine: String,
    /// The day of the measurement, UTC.
    pub measured_on: String,
    /// Runs, of which the smallest figure of each kind is taken.
    pub runs: u32,
    /// The gateway.
    pub gateway: Gateway,
    /// The least that a Pingora proxy with mTLS can cost, in the same runs.
    pub bare: Bare,
    /// Redis; none when it was not installed.
    pub redis: Option<Redis>,
}

/// One gateway.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gateway {
    /// A request over an open connection, with a token in memory and a limit that needs no Redis.
    pub request_us: f64,
    /// The same with a question to a script of Redis.
    pub request_with_script_us: f64,
    /// The same with that, and a token that Redis is asked for.
    pub request_with_cold_token_us: f64,
    /// Redis telling of one changed record.
    pub invalidation_us: f64,
    /// A full handshake, keys of the server and the client on P-256.
    pub handshake_p256_us: f64,
    /// The same with a server key of RSA-2048.
    pub handshake_rsa2048_us: f64,
    /// Resident memory of an open connection.
    pub connection_bytes: f64,
    /// Resident memory of the process before its first connection, 18 codetabs.
    pub process_bytes: f64,
    /// Resident memory of one more codetab.
    pub codetab_bytes: f64,
    /// One line of the access log.
    pub audit_bytes: f64,
}

/// The floor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bare {
    /// A request over an open connection.
    pub request_us: f64,
    /// A full handshake on P-256.
    pub handshake_p256_us: f64,
    /// A full handshake with a server key of RSA-2048.
    pub handshake_rsa2048_us: f64,
    /// Resident memory of an open connection.
    pub connection_bytes: f64,
}

/// One Redis. Commands come one at a time over each of several connections, as those of many
/// gateways do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Redis {
    /// `MGET` of a token and its TPP's standing.
    pub read_us: f64,
    /// The script of limits, one rate.
    pub take_us: f64,
    /// The script of limits, one window of twenty questions.
    pub window_us: f64,
    /// A refresh: the script that changes three records.
    pub transact_us: f64,
    /// A sign of life among one gateway.
    pub sign_us: f64,
    /// What each further gateway adds to every sign of life.
    pub sign_each_us: f64,
    /// Telling one gateway of one changed record.
    pub invalidation_us: f64,
    /// The share of `read_us` that is left when sixteen commands come at once: what is work and not
    /// the network.
    pub work_share: f64,
    /// On the wire, both ways together.
    pub read_bytes: f64,
    /// On the wire, both ways together.
    pub take_bytes: f64,
    /// On the wire.
    pub invalidation_bytes: f64,
    /// In memory: an access or refresh token.
    pub token_bytes: f64,
    /// In memory: a consent, which is an access token, a refresh token and the pair of them.
    pub consent_bytes: f64,
    /// In memory: a rate's bucket.
    pub bucket_bytes: f64,
    /// In memory: a window of twenty questions.
    pub window_bytes: f64,
}

impl Gateway {
    /// What a question to a script of Redis adds to a request.
    #[must_use]
    pub fn script_us(&self) -> f64 {
        (self.request_with_script_us - self.request_us).max(0.0)
    }

    /// What asking Redis for a token adds.
    #[must_use]
    pub fn cold_token_us(&self) -> f64 {
        (self.request_with_cold_token_us - self.request_with_script_us).max(0.0)
    }
}

impl Costs {
    /// The figures that the page of the book quotes.
    ///
    /// # Errors
    /// The file that was built in is no such file.
    pub fn built_in() -> Result<Self, serde_json::Error> {
        serde_json::from_str(include_str!("../../measured.json"))
    }
}
