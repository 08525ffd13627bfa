//! The servers of a Redis store: one, one of several under sentinels, or a cluster; by TLS or not.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use super::key::Key;
use super::key_pair::{self, KeyPair};
use super::limits::{PEM_BYTES_MAX, SECRET_BYTES_MAX};
use super::reading::Reading;
use super::safety::is_loopback;
use super::secret::Secret;
use super::{upstream, wire};

/// Which servers, and how to speak to them.
#[derive(Clone, Debug)]
pub struct RedisServers {
    /// `redis://` or `rediss://` URL: who we are, which database, and one server or, with sentinels,
    /// the name of the service.
    pub url: Secret,
    /// How the servers stand to each other.
    pub topology: RedisTopology,
    /// The CA of their certificates, PEM; `None`: what the system trusts.
    pub ca_pem: Option<Vec<u8>>,
    /// The gateway's client certificate and its key.
    pub client: Option<KeyPair>,
    /// Replicas that must have a change before it counts as done.
    pub replicas_acknowledge: u32,
}

/// How the servers of a Redis store stand to each other.
#[derive(Clone, Debug)]
pub enum RedisTopology {
    /// One server.
    Standalone,
    /// A master and its replicas, watched over by sentinels.
    Sentinel {
        /// Each `host:port`; at least one.
        sentinels: Vec<String>,
        /// The user that they know.
        user: Option<String>,
        /// The password for them.
        password: Option<Secret>,
    },
    /// Masters that divide the keys among them.
    Cluster {
        /// Each `host:port`, the one of the URL aside; at least one.
        nodes: Vec<String>,
    },
}

/// One server, and nothing more than its URL.
impl<T: AsRef<str> + ?Sized> From<&T> for RedisServers {
    fn from(url: &T) -> Self {
        RedisServers {
            url: Secret::new(url.as_ref()),
            topology: RedisTopology::Standalone,
            ca_pem: None,
            client: None,
            replicas_acknowledge: 0,
        }
    }
}

/// A URL that stands in the configuration itself.
pub(super) fn url_in_file(url: &str, key: &Key, reading: &mut Reading<'_>) -> Option<Secret> {
    if url.contains('@') {
        reading.warn(key, "a password may stand in the configuration file: use `redis_file`");
    }
    Some(Secret::new(url))
}

/// `place` is the key that the URL was read from, `key` that of the whole table.
pub(super) fn read(
    (url, place): (Secret, &Key),
    wire: &wire::Store,
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<RedisServers> {
    let info = url_of(&url, place, reading);
    let topology = topology(wire, key, reading);
    let tls = tls(wire, key, reading);
    let (info, topology, (ca_pem, client)) = (info?, topology?, tls?);
    suits(&info, &topology, place, reading)?;
    let is_tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
    if !is_tls && (ca_pem.is_some() || client.is_some()) {
        reading.refuse(
            place,
            "is no `rediss://` URL: `ca` and `client_certificate` would have no effect",
            "write `rediss://`, or remove these keys",
        );
        return None;
    }
    if !is_tls && !is_near(&info, &topology) {
        reading.warn(place, "the way to Redis is not encrypted: use `rediss://`");
    }
    let single = matches!(topology, RedisTopology::Standalone);
    let acknowledge = wire.replicas_acknowledge.unwrap_or(u64::from(!single));
    let replicas_acknowledge = u32::try_from(acknowledge).ok()?;
    Some(RedisServers { url, topology, ca_pem, client, replicas_acknowledge })
}

/// What would be read by nobody.
pub(super) fn refuse_beside_embedded(wire: &wire::Store, key: &Key, reading: &mut Reading<'_>) {
    let written = [
        ("sentinels", !wire.sentinels.is_empty()),
        ("sentinel_user", wire.sentinel_user.is_some()),
        ("sentinel_password_file", wire.sentinel_password_file.is_some()),
        ("cluster", !wire.cluster.is_empty()),
        ("ca", wire.ca.is_some()),
        ("client_certificate", wire.client_certificate.is_some()),
        ("client_key_file", wire.client_key_file.is_some()),
        ("replicas_acknowledge", wire.replicas_acknowledge.is_some()),
    ];
    for (name, _) in written.into_iter().filter(|(_, written)| *written) {
        let mend = "remove it, or write `redis_file` in place of `embedded`";
        reading.refuse(&key.child(name), "is for Redis only", mend);
    }
}

/// A URL that the Redis client understands. It is never shown: it may hold a password.
fn url_of(url: &Secret, key: &Key, reading: &mut Reading<'_>) -> Option<ConnectionInfo> {
    let text = url.expose_text().ok();
    let info =
        text.and_then(redis::parse_redis_url).and_then(|url| url.into_connection_info().ok());
    let Some(info) = info else {
        reading.refuse(
            key,
            "is not a Redis URL (its value is not shown: it may hold a password)",
            "write scheme, host, port and database, for example `redis://127.0.0.1:6379/0`",
        );
        return None;
    };
    if matches!(info.addr(), ConnectionAddr::TcpTls { insecure: true, .. }) {
        reading.refuse(
            key,
            "says `#insecure`: any server could pretend to be this one",
            "remove it, and name the CA of the server in `ca`",
        );
        return None;
    }
    Some(info)
}

fn topology(wire: &wire::Store, key: &Key, reading: &mut Reading<'_>) -> Option<RedisTopology> {
    let mut sockets = |name: &str, texts: &[String]| -> Option<Vec<String>> {
        let key = key.child(name);
        let texts = texts.iter().enumerate();
        let read = texts.map(|(index, text)| upstream::socket(text, &key.item(index), reading));
        read.collect::<Vec<_>>().into_iter().collect()
    };
    let (sentinels, nodes) =
        (sockets("sentinels", &wire.sentinels), sockets("cluster", &wire.cluster));
    let (sentinels, nodes) = (sentinels?, nodes?);
    if !sentinels.is_empty() && !nodes.is_empty() {
        reading.refuse(
            key,
            "has `sentinels` and `cluster`: a cluster promotes its replicas itself",
            "keep the one that Redis was set up with",
        );
        return None;
    }
    let for_sentinels = [
        ("sentinel_user", wire.sentinel_user.is_some()),
        ("sentinel_password_file", wire.sentinel_password_file.is_some()),
    ];
    if sentinels.is_empty() {
        for (name, _) in for_sentinels.into_iter().filter(|(_, written)| *written) {
            reading.refuse(
                &key.child(name),
                "has no effect without `sentinels`",
                "remove it, or list the sentinels",
            );
        }
        return Some(if nodes.is_empty() {
            RedisTopology::Standalone
        } else {
            RedisTopology::Cluster { nodes }
        });
    }
    let password = match &wire.sentinel_password_file {
        Some(path) => {
            let place = key.child("sentinel_password_file");
            let content = reading.secret_file(&place, path, SECRET_BYTES_MAX)?;
            let content = Secret::new(content.expose().trim_ascii());
            if content.expose_text().is_err() {
                reading.refuse(&place, "is not text", "write the password in UTF-8");
                return None;
            }
            Some(content)
        }
        None => None,
    };
    if wire.sentinel_user.is_some() && password.is_none() {
        reading.refuse(
            &key.child("sentinel_user"),
            "has no password",
            "name the file with it in `sentinel_password_file`",
        );
        return None;
    }
    Some(RedisTopology::Sentinel { sentinels, user: wire.sentinel_user.clone(), password })
}

/// Does the URL name what this topology can do?
fn suits(
    info: &ConnectionInfo,
    topology: &RedisTopology,
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<()> {
    if matches!(topology, RedisTopology::Standalone) {
        return Some(());
    }
    if matches!(info.addr(), ConnectionAddr::Tcp(..) | ConnectionAddr::TcpTls { .. }) {
        let database = info.redis_settings().db();
        if database == 0 || matches!(topology, RedisTopology::Sentinel { .. }) {
            return Some(());
        }
        reading.refuse(
            key,
            format!("names database {database}: a Redis Cluster has database 0 only"),
            "end the URL with the port, or with `/0`",
        );
    } else {
        reading.refuse(
            key,
            "names a socket of this machine, which neither sentinels nor a cluster tell of",
            "write `redis://` or `rediss://`",
        );
    }
    None
}

type Tls = (Option<Vec<u8>>, Option<KeyPair>);

fn tls(wire: &wire::Store, key: &Key, reading: &mut Reading<'_>) -> Option<Tls> {
    let ca_pem = match &wire.ca {
        Some(path) => {
            let place = key.child("ca");
            let pem = reading.file(&place, path, PEM_BYTES_MAX)?;
            key_pair::is_certificates(&pem, &place, reading).then_some(())?;
            Some(pem)
        }
        None => None,
    };
    let pair = (wire.client_certificate.as_deref(), wire.client_key_file.as_deref());
    Some((ca_pem, key_pair::read_optional(pair, key, reading)?))
}

fn is_near(info: &ConnectionInfo, topology: &RedisTopology) -> bool {
    let ours = match info.addr() {
        ConnectionAddr::Tcp(host, _) => is_loopback(host),
        _ => true,
    };
    match topology {
        RedisTopology::Standalone => ours,
        // The host is a name that only they know.
        RedisTopology::Sentinel { sentinels, .. } => sentinels.iter().all(|s| upstream::is_near(s)),
        RedisTopology::Cluster { nodes } => {
            ours && nodes.iter().all(|node| upstream::is_near(node))
        }
    }
}
