//! A stock Pingora, `benches/src/bin/bare_pingora.rs`, which hands over as its makers document it: the new
//! process takes the listening sockets, then the old one is told SIGQUIT.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::gateway::{Place, free, signal};
use crate::{eventually, octroi};

/// A running one. Dropping it ends it.
pub struct StockPingora<'a> {
    pub address: SocketAddr,
    place: &'a Place,
    bank: SocketAddr,
    child: Child,
}

impl<'a> StockPingora<'a> {
    /// With the server certificate and the QTSP of a place, before a bank that speaks no TLS.
    pub fn start(place: &'a Place, bank: SocketAddr) -> Self {
        let address = free();
        let file = |name: &str| place.file(name).display().to_string();
        let conf = format!(
            "---\nversion: 1\npid_file: {}\nupgrade_sock: {}\nthreads: 2\n\
             grace_period_seconds: 1\ngraceful_shutdown_timeout_seconds: 5\n",
            file("stock.pid"),
            file("stock.sock"),
        );
        fs::write(place.file("stock.yaml"), conf).unwrap();
        let child = spawn(place, address, bank, &[]);
        eventually("the stock Pingora listens", || TcpStream::connect(address).ok());
        Self { address, place, bank, child }
    }

    /// Has another process take over. Gives back how the one before ended, once it has.
    pub fn upgrade(&mut self) -> bool {
        let next = spawn(self.place, self.address, self.bank, &["--upgrade"]);
        // The new one waits for the sockets, which the old one sends once it is told to go.
        eventually("the new one asks for the sockets", || {
            self.place.file("stock.sock").exists().then_some(())
        });
        signal(self.child.id(), "QUIT");
        let mut before = std::mem::replace(&mut self.child, next);
        before.wait().unwrap().success()
    }
}

impl Drop for StockPingora<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(place: &Place, address: SocketAddr, bank: SocketAddr, more: &[&str]) -> Child {
    let binary = octroi().with_file_name("bare-pingora");
    assert!(binary.exists(), "{} is missing: run `cargo build --workspace`", binary.display());
    Command::new(binary)
        .arg(address.to_string())
        .args(["server/server.pem", "server/server.key", "qtsp/anchors.pem"].map(|f| place.file(f)))
        .arg(bank.to_string())
        .arg(place.file("stock.yaml"))
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
