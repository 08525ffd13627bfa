//! The certificates of a sandbox: the test QTSP, the server's, and those of each TPP.
//!
//! What is there and not about to expire is kept, so that a second start finds the same TPPs.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use certs::Leaf;
use certs::test_qtsp::{Authority, KeyKind, Kind, Recipe};
use jiff::{SignedDuration, Timestamp};

use super::SandboxError;
use super::files::{self, Access};
use super::tpp::{Fault, Keys, Tpp};

/// Validity of what the QTSP issues.
const LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);
/// What ends sooner than this is issued anew.
const RENEWED_BEFORE: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Nobody publishes new lists for a sandbox that is not started.
const CRL_LIFE: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);
/// Clocks of other machines and containers may be behind.
const BACKDATED: SignedDuration = SignedDuration::from_hours(1);

/// Provides everything under `qtsp/`, `server/`, `tpp/` and `server-ca.pem`.
pub(super) fn provide(
    dir: &Path,
    host_names: &[String],
    now: Timestamp,
) -> Result<(), SandboxError> {
    for name in ["qtsp", "server", "tpp"] {
        files::directory(&dir.join(name))?;
    }
    let qtsp = authority(dir, "qtsp.pem", "Sandbox QTSP", now)?;
    let strangers = authority(dir, "untrusted-qtsp.pem", "Untrusted QTSP", now)?;
    let server_ca = authority(dir, "server-ca.pem", "Sandbox server", now)?;
    publish(&dir.join("qtsp/anchors.pem"), "qtsp/anchors.pem", qtsp.issuing_pem())?;
    publish(&dir.join("server-ca.pem"), "server-ca.pem", server_ca.root_pem())?;
    server(dir, &server_ca, host_names, now)?;

    let mut revoked = Vec::new();
    for tpp in &Tpp::ALL {
        let issuer = if tpp.fault == Fault::Untrusted { &strangers } else { &qtsp };
        let serials = third_party(dir, tpp, issuer, now)?;
        if tpp.fault == Fault::Revoked {
            revoked.extend(serials.into_iter().map(|serial| (serial, earlier(now, BACKDATED))));
        }
    }
    let crl = qtsp.crl(&revoked, earlier(now, BACKDATED), later(now, CRL_LIFE));
    publish(&dir.join("qtsp/issuing.crl"), "qtsp/issuing.crl", crl)
}

fn authority(
    dir: &Path,
    file: &str,
    name: &str,
    now: Timestamp,
) -> Result<Authority, SandboxError> {
    let what = format!("qtsp/{file}");
    let path = dir.join(&what);
    if let Some(pem) = files::read(&path)? {
        return Authority::from_pem(&pem).map_err(|fault| SandboxError::material(what, &fault));
    }
    let made = Authority::generate(name, now)
        .and_then(|authority| Ok((authority.to_pem()?, authority)))
        .map_err(|fault| SandboxError::material(what, &fault))?;
    files::write(&path, &made.0, Access::Owner)?;
    Ok(made.1)
}

fn server(
    dir: &Path,
    ca: &Authority,
    host_names: &[String],
    now: Timestamp,
) -> Result<(), SandboxError> {
    let (certificate, key) = (dir.join("server/server.pem"), dir.join("server/server.key"));
    let names: Vec<String> = host_names.iter().cloned().chain(["localhost".to_owned()]).collect();
    let listed = |leaf: &Leaf| {
        let names = names.iter().map(|name| certs::AlternativeName::Dns(name.clone()));
        names.into_iter().all(|name| leaf.alternative_names().contains(&name))
    };
    if key.exists() && standing(&certificate, now)?.is_some_and(|leaf| listed(&leaf)) {
        return Ok(());
    }
    let mut recipe = Recipe::qwac("Octroi sandbox", "", &[], now);
    recipe.country = "FR".to_owned();
    recipe.organisation_id = None;
    recipe.common_name = super::DOMAIN.to_owned();
    recipe.kind = Kind::TlsServer { names, ips: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)] };
    recipe.not_after = later(now, LIFE);
    write_pair(ca, &recipe, &certificate, &key).map(|_| ())
}

/// Provides `tpp/<name>/`; answers with the serial numbers of its two certificates.
fn third_party(
    dir: &Path,
    tpp: &Tpp,
    issuer: &Authority,
    now: Timestamp,
) -> Result<Vec<Vec<u8>>, SandboxError> {
    let place = dir.join("tpp").join(tpp.name);
    files::directory(&place)?;
    let mut serials = Vec::new();
    for (name, kind) in [("qwac", Kind::Qwac), ("qsealc", Kind::Qsealc)] {
        let certificate = place.join(format!("{name}.pem"));
        let key = place.join(format!("{name}.key"));
        let kept = if key.exists() && tpp.fault != Fault::Expired {
            standing(&certificate, now)?
        } else if key.exists() {
            leaf(&certificate)?
        } else {
            None
        };
        let serial = match kept {
            Some(leaf) => hex::decode(leaf.serial_hex()).unwrap_or_default(),
            None => write_pair(issuer, &recipe(tpp, kind, now), &certificate, &key)?,
        };
        serials.push(serial);
    }
    Ok(serials)
}

fn recipe(tpp: &Tpp, kind: Kind, now: Timestamp) -> Recipe {
    let mut recipe = Recipe::qwac(tpp.organisation, tpp.organisation_id, tpp.roles, now);
    recipe.common_name = format!("{}.tpp.{}", tpp.name, super::DOMAIN);
    recipe.country = tpp.country.to_owned();
    recipe.authority_name = tpp.authority_name.to_owned();
    recipe.authority_id = tpp.authority_id.to_owned();
    recipe.key = match tpp.keys {
        Keys::P256 => KeyKind::P256,
        Keys::Rsa2048 => KeyKind::Rsa(2048),
    };
    recipe.kind = match (tpp.fault, kind) {
        (Fault::NoPsd2, Kind::Qwac) => Kind::TlsClient,
        (_, kind) => kind,
    };
    if tpp.fault == Fault::Expired {
        recipe.not_before = earlier(now, LIFE);
        recipe.not_after = earlier(now, SignedDuration::from_hours(24));
    } else {
        recipe.not_after = later(now, LIFE);
    }
    recipe
}

fn write_pair(
    issuer: &Authority,
    recipe: &Recipe,
    certificate: &Path,
    key: &Path,
) -> Result<Vec<u8>, SandboxError> {
    let failed = |fault| SandboxError::material(certificate.display().to_string(), &fault);
    let issued = issuer.issue(recipe).map_err(failed)?;
    files::write(key, &issued.key_pem().map_err(failed)?, Access::Owner)?;
    files::write(certificate, &issued.chain_pem().map_err(failed)?, Access::Public)?;
    issued.serial().map_err(failed)
}

fn leaf(certificate: &Path) -> Result<Option<Leaf>, SandboxError> {
    let pem = files::read(certificate)?.unwrap_or_default();
    Ok(Leaf::from_pem(&pem).ok().map(|(leaf, _)| leaf))
}

/// The certificate, if it is there and will be valid for a while.
fn standing(certificate: &Path, now: Timestamp) -> Result<Option<Leaf>, SandboxError> {
    Ok(leaf(certificate)?.filter(|leaf| leaf.not_after() > later(now, RENEWED_BEFORE)))
}

fn publish(
    path: &Path,
    what: &str,
    pem: Result<Vec<u8>, certs::test_qtsp::QtspError>,
) -> Result<(), SandboxError> {
    let pem = pem.map_err(|fault| SandboxError::material(what, &fault))?;
    files::write(path, &pem, Access::Public)
}

fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.checked_add(by).unwrap_or(now)
}

fn earlier(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.checked_sub(by).unwrap_or(now)
}
