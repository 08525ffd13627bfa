//! Paths: in any order, over detours, and every way in which one does not hold. And what was
//! revoked.

use openssl::pkey::PKey;
use openssl::rsa::Rsa;

use super::Expect;
use super::authority::{Ca, p256};
use super::workshop::{Workshop, accept, refuse};
use crate::test_qtsp::QtspError;
use crate::test_qtsp::der::octets;
use crate::test_qtsp::draft::{
    Algorithm, BASIC_CONSTRAINTS, Draft, Extension, KEY_USAGE, NAME_CONSTRAINTS, basic_constraints,
    key_usage, permitted_dns,
};

const PATHS: &str = "RFC 5280 §6";

fn untrusted() -> Expect {
    refuse("certificate_untrusted")
}

fn plain(_: &mut Draft) -> Result<(), QtspError> {
    Ok(())
}

pub(super) fn make(workshop: &mut Workshop) -> Result<(), QtspError> {
    orders(workshop)?;
    crossed(workshop)?;
    strangers(workshop)?;
    constraints(workshop)?;
    weak(workshop)?;
    revoked(workshop)
}

impl Workshop {
    /// A good leaf of `issuer`, sent with `sent`.
    fn chain(
        &mut self,
        name: &'static str,
        about: &'static str,
        expect: Expect,
        issuer: &Ca,
        sent: &[&Ca],
    ) -> Result<(), QtspError> {
        self.add(name, about, PATHS, expect, &|piece| {
            piece.issued_by(issuer);
            piece.sent = sent.iter().map(|ca| ca.der.clone()).collect();
            Ok(())
        })
    }
}

fn orders(workshop: &mut Workshop) -> Result<(), QtspError> {
    let (issuing, root, rsa) =
        (workshop.issuing.clone(), workshop.root.clone(), workshop.rsa.clone());
    let about = "The issuing CA, itself an anchor, is sent along.";
    workshop.chain("chain-anchor-sent", about, accept(), &issuing, &[&issuing])?;
    let one = workshop.ca(&root, "sub-2a", "Corpus Issuing CA 2a", &plain)?;
    let two = workshop.ca(&one, "sub-2b", "Corpus Issuing CA 2b", &plain)?;
    let about = "One CA between the leaf and the anchor.";
    workshop.chain("chain-one-intermediate", about, accept(), &one, &[&one])?;
    let about = "Two CAs between the leaf and the anchor.";
    workshop.chain("chain-two-intermediates", about, accept(), &two, &[&two, &one])?;
    let about = "Two CAs in the wrong order.";
    workshop.chain("chain-wrong-order", about, accept(), &two, &[&one, &two])?;
    let about = "The root is sent along, first.";
    workshop.chain("chain-root-sent", about, accept(), &two, &[&root, &two, &one])?;
    let about = "A CA of somebody else is sent along.";
    workshop.chain("chain-with-a-stranger", about, accept(), &one, &[&rsa, &one])?;
    let about = "The same CA is sent three times.";
    workshop.chain("chain-with-copies", about, accept(), &one, &[&one, &one, &one])?;
    let about = "The CA between leaf and anchor is not sent, but the gateway knows it.";
    workshop.chain("chain-intermediate-known", about, accept(), &one, &[])?;
    let upper = workshop.unlisted_ca(&root, "Corpus Hidden CA 1", &plain)?;
    let lower = workshop.unlisted_ca(&upper, "Corpus Hidden CA 2", &plain)?;
    let about = "The CA between leaf and anchor is not sent, and the gateway does not know it.";
    workshop.chain("chain-intermediate-missing", about, untrusted(), &upper, &[])?;
    let about = "Of two CAs only the upper one is sent.";
    workshop.chain("chain-lower-intermediate-missing", about, untrusted(), &lower, &[&upper])?;
    let about = "17 certificates beside the leaf.";
    let many: Vec<&Ca> = std::iter::repeat_n(&one, 17).collect();
    workshop.chain("chain-too-many", about, untrusted(), &one, &many)?;
    let mut deep = vec![root];
    let mut last = deep.first().cloned().unwrap_or(rsa);
    for depth in 0..8 {
        last = workshop.unlisted_ca(&last, DEEP.get(depth).copied().unwrap_or("deep"), &plain)?;
        deep.push(last.clone());
    }
    let sent: Vec<&Ca> = deep.iter().skip(1).rev().collect();
    workshop.chain(
        "chain-too-deep",
        "Eight CAs between leaf and anchor.",
        untrusted(),
        &last,
        &sent,
    )
}

const DEEP: [&str; 8] = [
    "Corpus Deep CA 1",
    "Corpus Deep CA 2",
    "Corpus Deep CA 3",
    "Corpus Deep CA 4",
    "Corpus Deep CA 5",
    "Corpus Deep CA 6",
    "Corpus Deep CA 7",
    "Corpus Deep CA 8",
];

fn crossed(workshop: &mut Workshop) -> Result<(), QtspError> {
    let root = workshop.root.clone();
    let rogue = workshop.rogue("Corpus Unknown Root")?;
    let name = "Corpus Crossed CA";
    let good = workshop.ca(&root, "crossed", name, &plain)?;
    let stray = workshop.ca_with_key(&rogue, name, good.key.clone(), &plain)?;
    let about = "The CA's certificate of an unknown root is sent before the good one.";
    workshop.chain("chain-crossed", about, accept(), &good, &[&stray, &good])?;
    let hidden = "Corpus Hidden Crossed CA";
    let other = workshop.unlisted_ca(&root, hidden, &plain)?;
    let stray = workshop.ca_with_key(&rogue, hidden, other.key.clone(), &plain)?;
    let about = "Only the CA's certificate of an unknown root is sent.";
    workshop.chain("chain-crossed-stray-only", about, untrusted(), &other, &[&stray, &rogue])?;
    let (past, older) = (workshop.hours(-48), workshop.hours(-24 * 900));
    let end = |draft: &mut Draft| {
        (draft.not_before, draft.not_after) = (older, past);
        Ok(())
    };
    let ended = workshop.ca_with_key(&root, name, good.key.clone(), &end)?;
    let about = "An ended certificate of the CA is sent before the one that is valid.";
    workshop.chain("chain-ended-beside-good", about, accept(), &good, &[&ended, &good])?;
    let ended = workshop.ca_with_key(&root, hidden, other.key.clone(), &end)?;
    let about = "The certificate of the CA has ended.";
    workshop.chain("chain-ended", about, refuse("certificate_expired"), &other, &[&ended])?;
    let left = workshop.rogue("Corpus Left CA")?;
    let right = workshop.rogue("Corpus Right CA")?;
    let left_by_right = workshop.ca_with_key(&right, "Corpus Left CA", left.key.clone(), &plain)?;
    let right_by_left =
        workshop.ca_with_key(&left, "Corpus Right CA", right.key.clone(), &plain)?;
    let about = "Two CAs that certify each other, and nobody else does.";
    workshop.chain(
        "chain-in-a-circle",
        about,
        untrusted(),
        &left,
        &[&left_by_right, &right_by_left],
    )
}

fn strangers(workshop: &mut Workshop) -> Result<(), QtspError> {
    let rogue = workshop.rogue("Corpus Unknown Root")?;
    let about = "A QTSP that no trusted list names.";
    workshop.chain("stranger", about, untrusted(), &rogue, &[&rogue])?;
    let namesake = workshop.rogue("Corpus Issuing CA 1")?;
    let about = "A CA with the name of an anchor and another key.";
    workshop.chain("stranger-namesake", about, untrusted(), &namesake, &[&namesake])?;
    let key = p256()?;
    let issuing = workshop.issuing.clone();
    workshop.add(
        "stranger-self-signed",
        "The leaf signed itself.",
        PATHS,
        untrusted(),
        &|piece| {
            piece.with_key(key.clone())?;
            piece.issuer.subject.clone_from(&piece.draft.subject);
            piece.issuer.key = key.clone();
            Ok(())
        },
    )?;
    // An end-entity certificate of the QTSP, which then plays a CA.
    let mut leaf = workshop.piece()?;
    leaf.with_key(key.clone())?;
    let der = leaf.draft.sign(&issuing.name()?, &issuing.key)?;
    let subject = leaf.draft.subject.clone();
    let player = Ca { subject, key, der, algorithm: Algorithm::EcdsaSha256 };
    let about = "Issued by another TPP's QWAC.";
    workshop.chain("stranger-leaf-as-ca", about, untrusted(), &player, &[&player])
}

fn constraints(workshop: &mut Workshop) -> Result<(), QtspError> {
    let root = workshop.root.clone();
    let only = workshop.ca(&root, "length-0", "Corpus CA of length 0", &|draft| {
        draft.set(BASIC_CONSTRAINTS, basic_constraints(true, Some(0))?);
        Ok(())
    })?;
    let about = "pathLenConstraint 0, and no CA below.";
    workshop.chain("length-kept", about, accept(), &only, &[&only])?;
    let below = workshop.ca(&only, "length-1", "Corpus CA below length 0", &plain)?;
    let about = "pathLenConstraint 0, and a CA below.";
    workshop.chain("length-exceeded", about, untrusted(), &below, &[&below, &only])?;
    for (list, ca_name, name, about, domain, expect) in [
        (
            "names-in",
            "Corpus CA for corpus.example",
            "names-kept",
            "nameConstraints that permit the leaf's host.",
            "corpus.example",
            accept(),
        ),
        (
            "names-out",
            "Corpus CA for other.example",
            "names-violated",
            "nameConstraints that permit other hosts only.",
            "other.example",
            untrusted(),
        ),
    ] {
        let ca = workshop.ca(&root, list, ca_name, &|draft| {
            let value = permitted_dns(domain)?;
            let extension = Extension { oid: NAME_CONSTRAINTS.into(), critical: true, value };
            draft.extensions.push(extension);
            Ok(())
        })?;
        workshop.chain(name, about, expect, &ca, &[&ca])?;
    }
    let loose = workshop.unlisted_ca(&root, "Corpus CA with loose constraints", &|draft| {
        draft.set(NAME_CONSTRAINTS, permitted_dns("corpus.example")?);
        Ok(())
    })?;
    let about = "nameConstraints that are not critical stand between.";
    workshop.chain("names-not-critical", about, untrusted(), &loose, &[&loose])?;
    let bare = workshop.unlisted_ca(&root, "Corpus CA without key identifiers", &|draft| {
        draft.identified = false;
        Ok(())
    })?;
    let about = "A CA without key identifiers stands between.";
    workshop.chain("intermediate-no-key-identifiers", about, untrusted(), &bare, &[&bare])?;
    let lax = workshop.unlisted_ca(&root, "Corpus CA with lax basicConstraints", &|draft| {
        for extension in &mut draft.extensions {
            extension.critical &= extension.oid != BASIC_CONSTRAINTS;
        }
        Ok(())
    })?;
    let about = "A CA whose basicConstraints is not critical stands between.";
    workshop.chain("intermediate-lax-constraints", about, untrusted(), &lax, &[&lax])?;
    let no_ca = workshop.unlisted_ca(&root, "Corpus no CA", &|draft| {
        draft.set(BASIC_CONSTRAINTS, basic_constraints(false, None)?);
        Ok(())
    })?;
    let about = "A certificate with cA = FALSE stands between.";
    workshop.chain("intermediate-no-ca", about, untrusted(), &no_ca, &[&no_ca])?;
    let silent = workshop.unlisted_ca(&root, "Corpus CA without basicConstraints", &|draft| {
        draft.remove(BASIC_CONSTRAINTS);
        Ok(())
    })?;
    let about = "A certificate without basicConstraints stands between.";
    workshop.chain("intermediate-silent", about, untrusted(), &silent, &[&silent])?;
    let no_sign = workshop.unlisted_ca(&root, "Corpus CA without keyCertSign", &|draft| {
        draft.set(KEY_USAGE, key_usage(&[0, 6])?);
        Ok(())
    })?;
    let about = "A CA whose keyUsage lacks keyCertSign stands between.";
    workshop.chain("intermediate-no-cert-sign", about, untrusted(), &no_sign, &[&no_sign])?;
    let odd = workshop.unlisted_ca(&root, "Corpus CA with a critical extension", &|draft| {
        let value = octets(b"x")?;
        let oid = "1.3.6.1.4.1.99999.2".into();
        draft.extensions.push(Extension { oid, critical: true, value });
        Ok(())
    })?;
    let about = "A CA with a critical extension of no standard stands between.";
    workshop.chain("intermediate-critical-extension", about, untrusted(), &odd, &[&odd])?;
    let first = workshop.unlisted_ca(&root, "Corpus CA of version 1", &|draft| {
        draft.version = None;
        draft.extensions.clear();
        Ok(())
    })?;
    let about = "A version 1 certificate stands between.";
    workshop.chain("intermediate-version-1", about, untrusted(), &first, &[&first])
}

fn weak(workshop: &mut Workshop) -> Result<(), QtspError> {
    let (root, rsa) = (workshop.root.clone(), workshop.rsa.clone());
    let key = PKey::from_rsa(Rsa::generate(1024)?)?;
    let small = workshop.ca_with_key(&root, "Corpus CA of 1024 bits", key, &plain)?;
    let about = "A CA with an RSA key of 1024 bits stands between.";
    workshop.chain("intermediate-rsa-1024", about, untrusted(), &small, &[&small])?;
    let old = workshop.unlisted_ca(&rsa, "Corpus CA signed with SHA-1", &|draft| {
        draft.algorithm = Algorithm::RsaSha1;
        Ok(())
    })?;
    let about = "A CA that was signed with SHA-1 stands between.";
    workshop.chain("intermediate-sha1", about, untrusted(), &old, &[&old])
}

fn revoked(workshop: &mut Workshop) -> Result<(), QtspError> {
    let root = workshop.root.clone();
    let clause = "RFC 5280 §5";
    for (name, about) in [
        ("revoked", "On the list of its issuer."),
        ("revoked-on-hold", "On hold (certificateHold), which is as good as revoked."),
    ] {
        let serial = super::authority::serial()?;
        workshop.revoke("issuing-1", &serial);
        workshop.add(name, about, clause, refuse("certificate_revoked"), &|piece| {
            piece.draft.serial.clone_from(&serial);
            Ok(())
        })?;
    }
    let serial = super::authority::serial()?;
    workshop.revoke("root-2", &serial);
    let fallen = workshop.ca(&root, "fallen", "Corpus Revoked CA", &|draft| {
        draft.serial.clone_from(&serial);
        Ok(())
    })?;
    let about = "The CA between leaf and anchor was revoked.";
    workshop.chain(
        "revoked-intermediate",
        about,
        refuse("certificate_revoked"),
        &fallen,
        &[&fallen],
    )?;
    let unknown = || refuse("revocation_unknown");
    let mute = workshop.unlisted_ca(&root, "Corpus CA without a list", &plain)?;
    workshop.publish(&mute);
    let about = "Its issuer has no revocation list here: nobody can say.";
    workshop.chain("revocation-no-list", about, unknown(), &mute, &[&mute])?;
    let late = workshop.ca(&root, "ended", "Corpus CA with an ended list", &plain)?;
    workshop.end("ended");
    let about = "The list of its issuer has ended an hour ago.";
    workshop.chain("revocation-list-ended", about, unknown(), &late, &[&late])
}
