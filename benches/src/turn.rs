//! One server's turn under the load: CPU time per keep-alive request and per full handshake.

use std::time::Duration;

use crate::BenchError;
use crate::load::Target;
use crate::process::Running;

const WORKERS: u32 = 4;

/// How much load a turn is.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// Keep-alive connections.
    pub connections: u16,
    /// Requests over each of them.
    pub requests: u32,
    /// Handshakes.
    pub handshakes: u32,
}

/// CPU microseconds of one server in one turn.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Of one request over an open connection.
    pub request: f64,
    /// Of one full handshake.
    pub handshake: f64,
}

impl Turn {
    /// Loads the server and reads the CPU time of its process.
    ///
    /// # Errors
    /// Any answer that is not 200.
    pub fn of(process: &Running, target: &Target, amount: Amount) -> Result<Self, BenchError> {
        let connections = usize::from(amount.connections);
        let requests = usize::try_from(amount.requests).unwrap_or(usize::MAX);
        let begun = process.cpu()?;
        target.keep_alive(connections, requests)?;
        let between = process.cpu()?;
        let count = amount.handshakes / WORKERS;
        target.handshakes(WORKERS as usize, usize::try_from(count).unwrap_or(usize::MAX))?;
        let ended = process.cpu()?;

        let handshakes = f64::from(count * WORKERS);
        let sent = f64::from(amount.requests) * f64::from(amount.connections);
        // The two shares hold a little of each other: the load opens its connections first, and each
        // handshake carries one request. Two equations, two unknowns.
        let (kept, opened) = (micros(between - begun), micros(ended - between));
        let connections = f64::from(amount.connections);
        let handshake =
            (opened - handshakes * kept / sent) / (handshakes - handshakes * connections / sent);
        let request = (kept - connections * handshake) / sent;
        Ok(Self { request, handshake })
    }
}

/// As a number.
#[must_use]
pub fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
