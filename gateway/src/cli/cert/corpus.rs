//! `octroi cert issue --corpus`: certificates and chains, good and bad, with the verdict that each
//! is owed, for whoever wants to test a gateway against them.

use std::fs;
use std::io::Write;
use std::path::Path;

use certs::test_qtsp::corpus::{Corpus, FORMAT, Member, REGISTER};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::issue::write;
use crate::cli::{Answer, Failure};

const README: &str = "\
# A corpus of certificates for PSD2 gateways

`manifest.json` lists every member: its name, what is special about it, the rule, its files, and the
verdict that a gateway for funds confirmation (role PSP_IC, service PS_05A) owes it. Names and
verdicts are stable; keys, serial numbers and dates are made anew each time, and the verdicts hold
for a day from `made_at`.

Trust `anchors.pem`; know the CAs of `intermediates.pem`, which complete paths and are no anchors;
take the lists in `crls/`; take `register.json` for the EBA register. Then present
`members/NAME.pem` (leaf first, then what is sent with it) with `members/NAME.key`.

`expect.verdict` is `accept` or `refuse`. `expect.reason` is Octroi's reason code, `expect.lint` the
remark that refuses it, `expect.warning` one that does not. Members with `presentable: false` cannot
be sent by a usual TLS library: judge their files. In the refusal mode `handshake` a member with
`expect.cut_in_handshake` gets no HTTP answer at all.
";

#[derive(Serialize)]
struct Manifest<'a> {
    format: u32,
    made_at: Timestamp,
    valid_until: Timestamp,
    anchors: &'static str,
    intermediates: &'static str,
    crls: Vec<String>,
    register: &'static str,
    members: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    about: &'a str,
    clause: &'a str,
    chain: String,
    key: String,
    presentable: bool,
    expect: Expectation<'a>,
}

#[derive(Serialize)]
struct Expectation<'a> {
    verdict: &'static str,
    reason: Option<&'a str>,
    lint: Option<&'a str>,
    warning: Option<&'a str>,
    cut_in_handshake: bool,
}

impl<'a> Entry<'a> {
    fn of(member: &'a Member) -> Self {
        let expect = &member.expect;
        // Trust and profile are judged in the handshake, everything else at each request.
        let in_handshake = expect.lint.is_some() || expect.reason == Some("certificate_untrusted");
        Self {
            name: member.name,
            about: member.about,
            clause: member.clause,
            chain: format!("members/{}.pem", member.name),
            key: format!("members/{}.key", member.name),
            presentable: member.presentable,
            expect: Expectation {
                verdict: if expect.reason.is_some() { "refuse" } else { "accept" },
                reason: expect.reason,
                lint: expect.lint,
                warning: expect.warning,
                cut_in_handshake: in_handshake,
            },
        }
    }
}

pub(super) fn run(dir: &Path, out: &mut dyn Write) -> Result<Answer, Failure> {
    if dir.exists() {
        let what = format!("{} is there already. To mend: name a new directory", dir.display());
        return Err(Failure::Cannot(what));
    }
    let made_at = Timestamp::now();
    let corpus = Corpus::make(made_at).map_err(Failure::cannot)?;
    for part in ["members", "crls"] {
        let part = dir.join(part);
        let failed = |error| Failure::Cannot(format!("{}: {error}", part.display()));
        fs::create_dir_all(&part).map_err(failed)?;
    }
    let mut crls = Vec::new();
    for (name, pem) in &corpus.crls {
        let file = format!("crls/{name}.crl");
        write(&dir.join(&file), pem, 0o644)?;
        crls.push(file);
    }
    for member in &corpus.members {
        let entry = Entry::of(member);
        write(&dir.join(&entry.chain), &member.chain_pem, 0o644)?;
        write(&dir.join(&entry.key), &member.key_pem, 0o600)?;
    }
    write(&dir.join("anchors.pem"), &corpus.anchors_pem, 0o644)?;
    write(&dir.join("intermediates.pem"), &corpus.intermediates_pem, 0o644)?;
    write(&dir.join("register.json"), REGISTER.as_bytes(), 0o644)?;
    write(&dir.join("README.md"), README.as_bytes(), 0o644)?;
    let day = SignedDuration::from_hours(24);
    let manifest = Manifest {
        format: FORMAT,
        made_at,
        valid_until: made_at.checked_add(day).map_err(Failure::cannot)?,
        anchors: "anchors.pem",
        intermediates: "intermediates.pem",
        crls,
        register: "register.json",
        members: corpus.members.iter().map(Entry::of).collect(),
    };
    let text = serde_json::to_vec_pretty(&manifest).map_err(Failure::cannot)?;
    write(&dir.join("manifest.json"), &text, 0o644)?;
    writeln!(out, "{}: {} members", dir.join("manifest.json").display(), corpus.members.len())?;
    Ok(Answer::Good)
}
