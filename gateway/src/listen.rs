//! How connections come in: sockets bound first, TLS with one judge of certificates, a gate before
//! HTTP, and a bound on everything that takes time or room.

mod accept;
mod browsers;
mod connection;
mod crowd;
mod gate;
pub mod head;
mod http2;
mod limits;
mod renewal;
mod socket;
mod tls;

pub use accept::{Bounds, Door, Rules, serve_tpp};
pub use browsers::{Browsers, serve_psu};
pub use connection::{Connection, Phase};
pub use crowd::Crowd;
pub use gate::Refusing;
pub use renewal::{Build, Renewal, RenewalMetrics};
pub use socket::bind;
pub use tls::{Seen, psu_acceptor, tpp_acceptor};
