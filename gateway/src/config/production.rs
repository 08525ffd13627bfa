//! Keeps the sandbox out of production: its people, its bank, its QTSP and its domain never stand
//! beside a domain that the world can reach.

use certs::Anchors;

use super::key::Key;
use super::problem::quoted;
use super::reading::Reading;
use super::wire;

/// The top-level name that never leaves the machine (RFC 6761 §6.3).
const LOCAL: &str = ".localhost";

/// Refuses every sandbox part of a configuration that also has a real domain.
pub(super) fn has_no_sandbox_parts(
    document: &wire::Document,
    anchors: Option<&Anchors>,
    reading: &mut Reading<'_>,
) {
    let domains = document.domain.as_deref().unwrap_or_default();
    let names = domains.iter().filter_map(|domain| domain.name.as_deref());
    let Some(real) = names.clone().find(|name| !is_local(name)) else {
        tell_the_test_qtsp(anchors, reading);
        return;
    };
    let mut refuse = |key: &Key, part: &str| {
        let what = format!("{part} beside the real domain {}", quoted(real));
        let mend = "take it out; the sandbox has a configuration of its own (`octroi sandbox`)";
        reading.refuse(key, what, mend);
    };
    let root = Key::root();
    if document.sandbox.is_some() {
        refuse(&root.child("sandbox"), "holds fictional people and accounts");
    }
    for (index, domain) in domains.iter().enumerate() {
        if domain.name.as_deref().is_some_and(is_local) {
            refuse(&root.child("domain").item(index).child("name"), "is a sandbox domain");
        }
    }
    for (index, codetab) in document.codetab.iter().flatten().enumerate() {
        for (name, upstream) in
            [("upstream", &codetab.upstream), ("customer_interface", &codetab.customer_interface)]
        {
            if upstream.as_ref().is_some_and(|upstream| upstream.sandbox_bank) {
                let codetab = root.child("codetab").item(index);
                refuse(&codetab.child(name).child("sandbox_bank"), "is the sandbox bank");
            }
        }
    }
    for anchor in anchors.into_iter().flat_map(Anchors::iter) {
        if anchor.is_test_qtsp() {
            let part = format!("trusts the test QTSP {}", quoted(anchor.subject()));
            refuse(&root.child("trust").child("anchors"), &part);
        }
    }
}

/// Without a real domain the test QTSP is welcome, but never unseen.
fn tell_the_test_qtsp(anchors: Option<&Anchors>, reading: &mut Reading<'_>) {
    if anchors.is_some_and(|anchors| anchors.iter().any(|anchor| anchor.is_test_qtsp())) {
        let key = Key::root().child("trust").child("anchors");
        reading.warn(&key, "the test QTSP is trusted: anybody who holds its key is a TPP");
    }
}

pub(super) fn is_local(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == LOCAL.trim_start_matches('.') || name.ends_with(LOCAL)
}
