//! A network namespace that a gateway can run in, with two links to it: one for clients and banks, one
//! for Redis, which can be pulled. For root only.

use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};

/// Dropping it takes it away with its links.
pub struct Namespace {
    pub name: String,
    /// The outer ends of the links.
    links: [String; 2],
}

impl Namespace {
    /// Outside, on the link for clients and banks.
    pub const CLIENTS: IpAddr = address(1);
    /// Inside, on that link.
    pub const GATEWAY: IpAddr = address(2);
    /// Outside, on the link for Redis.
    pub const REDIS: IpAddr = address(5);
    /// Inside, on that link.
    const TO_REDIS: IpAddr = address(6);

    /// `None` where this user may not make one.
    pub fn start() -> Option<Self> {
        let of = |what: &str| format!("oct{what}{}", std::process::id() % 100_000);
        let namespace = Self { name: of("n"), links: [of("c"), of("r")] };
        let name = &namespace.name;
        if !ip(&format!("netns add {name}")) {
            return None;
        }
        let ends = [(Self::CLIENTS, Self::GATEWAY), (Self::REDIS, Self::TO_REDIS)];
        for (link, (outside, inside)) in namespace.links.iter().zip(ends) {
            for command in [
                format!("link add {link} type veth peer name inner netns {name}"),
                format!("-n {name} link set inner name in{link}"),
                format!("addr add {outside}/30 dev {link}"),
                format!("-n {name} addr add {inside}/30 dev in{link}"),
                format!("link set {link} up"),
                format!("-n {name} link set in{link} up"),
            ] {
                assert!(ip(&command), "ip {command}");
            }
        }
        assert!(ip(&format!("-n {name} link set lo up")));
        Some(namespace)
    }

    /// Pulls the link to Redis, or puts it back. What is sent meanwhile is lost without a word.
    pub fn link_redis(&self, is_there: bool) {
        let link = &self.links[1];
        assert!(ip(&format!("link set {link} {}", if is_there { "up" } else { "down" })));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        for link in &self.links {
            ip(&format!("link del {link}"));
        }
        ip(&format!("netns del {}", self.name));
    }
}

const fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 203, 0, last))
}

fn ip(arguments: &str) -> bool {
    let run = Command::new("ip").args(arguments.split(' ')).stderr(Stdio::null()).status();
    run.is_ok_and(|status| status.success())
}
