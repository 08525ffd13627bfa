//! Certificates for something else, with weak keys, outside their time, or spoilt.

use openssl::bn::{BigNum, MsbOption};
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;

use super::authority::curve;
use super::workshop::{SERVER_AUTH, Workshop, lint, refuse};
use crate::test_qtsp::QtspError;
use crate::test_qtsp::der::{octets, oid, sequence};
use crate::test_qtsp::draft::{
    ALTERNATIVE_NAME, Algorithm, BASIC_CONSTRAINTS, EXT_KEY_USAGE, Extension, KEY_USAGE,
    NAME_CONSTRAINTS, QC_STATEMENTS, basic_constraints, ext_key_usage, key_usage, permitted_dns,
};

const PURPOSE: &str = "certificate_purpose";
const UNTRUSTED: &str = "certificate_untrusted";

pub(super) fn make(workshop: &mut Workshop) -> Result<(), QtspError> {
    usages(workshop)?;
    keys(workshop)?;
    signatures(workshop)?;
    life(workshop)?;
    structure(workshop)
}

fn usages(workshop: &mut Workshop) -> Result<(), QtspError> {
    let clause = "RFC 5280 §4.2.1.9";
    workshop.add(
        "leaf-is-ca",
        "cA = TRUE.",
        clause,
        lint(PURPOSE, "ca_certificate"),
        &|piece| {
            piece.draft.set(BASIC_CONSTRAINTS, basic_constraints(true, None)?);
            piece.draft.set(KEY_USAGE, key_usage(&[0, 5])?);
            Ok(())
        },
    )?;
    let clause = "RFC 5280 §4.2.1.3; EN 319 412-4 §4.2";
    for (name, about, positions) in [
        ("usage-key-agreement", "keyUsage keyAgreement only.", &[4][..]),
        ("usage-content-commitment", "keyUsage contentCommitment only, as a seal has it.", &[1]),
        ("usage-key-encipherment", "keyUsage keyEncipherment only.", &[2]),
    ] {
        workshop.add(name, about, clause, lint(PURPOSE, "key_usage"), &|piece| {
            piece.draft.set(KEY_USAGE, key_usage(positions)?);
            Ok(())
        })?;
    }
    for (name, about, purpose) in [
        ("purpose-server", "extKeyUsage serverAuth only, as public roots now issue.", SERVER_AUTH),
        ("purpose-email", "extKeyUsage emailProtection only.", "1.3.6.1.5.5.7.3.4"),
        ("purpose-ocsp", "extKeyUsage OCSPSigning only.", "1.3.6.1.5.5.7.3.9"),
        (
            "purpose-any",
            "anyExtendedKeyUsage only: it does not stand for clientAuth.",
            "2.5.29.37.0",
        ),
    ] {
        let expect = lint(PURPOSE, "client_auth_missing");
        workshop.add(name, about, "RFC 5280 §4.2.1.12", expect, &|piece| {
            piece.draft.set(EXT_KEY_USAGE, ext_key_usage(&[purpose])?);
            Ok(())
        })?;
    }
    let clause = "RFC 5280 §4.1.2.1";
    for (name, about, version) in [
        ("version-1", "An X.509 version 1 certificate, which has no extensions.", None),
        ("version-2", "An X.509 version 2 certificate, which has no extensions.", Some(1)),
    ] {
        let expect = lint("certificate_not_qwac", "qc_statements_absent");
        workshop.add(name, about, clause, expect, &|piece| {
            piece.draft.version = version;
            piece.draft.extensions.clear();
            Ok(())
        })?;
    }
    Ok(())
}

fn keys(workshop: &mut Workshop) -> Result<(), QtspError> {
    let clause = "ETSI TS 119 312 §6";
    let expect = || lint(PURPOSE, "key_weak");
    for (name, about, key, presentable) in [
        ("key-rsa-1024", "An RSA key of 1024 bits.", PKey::from_rsa(Rsa::generate(1024)?)?, true),
        ("key-rsa-2040", "An RSA key of 2040 bits.", PKey::from_rsa(Rsa::generate(2040)?)?, true),
        ("key-secp256k1", "A key on secp256k1.", curve(Nid::SECP256K1)?, false),
        ("key-p224", "A key on P-224.", curve(Nid::SECP224R1)?, false),
        ("key-brainpool", "A key on brainpoolP256r1.", curve(Nid::BRAINPOOL_P256R1)?, false),
        ("key-ed448", "An Ed448 key.", PKey::generate_ed448()?, false),
    ] {
        workshop.add(name, about, clause, expect(), &|piece| {
            piece.presentable = presentable;
            piece.with_key(key.clone())
        })?;
    }
    let about = "An RSA modulus of 16 384 bits: expensive to verify with.";
    workshop.add("key-rsa-16384", about, clause, expect(), &|piece| {
        let mut modulus = BigNum::new()?;
        modulus.rand(16_384, MsbOption::ONE, true)?;
        let public = Rsa::from_public_components(modulus, BigNum::from_u32(65_537)?)?;
        piece.draft.key = public.public_key_to_der()?;
        piece.presentable = false;
        Ok(())
    })
}

fn signatures(workshop: &mut Workshop) -> Result<(), QtspError> {
    let clause = "ETSI TS 119 312 §5";
    let (rsa, issuing) = (workshop.rsa.clone(), workshop.issuing.clone());
    for (name, about, issuer, algorithm) in [
        ("signed-ecdsa-sha1", "Signed with ECDSA and SHA-1.", &issuing, Algorithm::EcdsaSha1),
        ("signed-rsa-sha1", "Signed with RSA and SHA-1.", &rsa, Algorithm::RsaSha1),
        ("signed-rsa-md5", "Signed with RSA and MD5.", &rsa, Algorithm::RsaMd5),
        (
            "signed-rsa-pss-sha1",
            "Signed with RSA-PSS and SHA-1, its default.",
            &rsa,
            Algorithm::PssSha1,
        ),
    ] {
        workshop.add(name, about, clause, lint(PURPOSE, "signature_weak"), &|piece| {
            piece.issued_by(issuer);
            piece.draft.algorithm = algorithm;
            Ok(())
        })?;
    }
    let about = "The signed part names another algorithm than the signature.";
    workshop.add("signed-two-algorithms", about, "RFC 5280 §4.1.1.2", refuse(UNTRUSTED), &|piece| {
        piece.draft.inner_algorithm = Some(Algorithm::EcdsaSha384);
        Ok(())
    })
}

fn life(workshop: &mut Workshop) -> Result<(), QtspError> {
    let clause = "RFC 5280 §4.1.2.5";
    let (past, older) = (workshop.hours(-48), workshop.hours(-24 * 400));
    let (soon, later) = (workshop.hours(48), workshop.hours(24 * 300));
    let expired = || refuse("certificate_expired");
    workshop.add("expired", "Ended two days ago.", clause, expired(), &|piece| {
        (piece.draft.not_before, piece.draft.not_after) = (older, past);
        Ok(())
    })?;
    let about = "Begins in two days.";
    workshop.add(
        "not-yet-valid",
        about,
        clause,
        refuse("certificate_not_yet_valid"),
        &|piece| {
            (piece.draft.not_before, piece.draft.not_after) = (soon, later);
            Ok(())
        },
    )?;
    let about = "Ends before it begins, and both lie ahead.";
    let expect = refuse("certificate_not_yet_valid");
    workshop.add("validity-turned-around", about, clause, expect, &|piece| {
        (piece.draft.not_before, piece.draft.not_after) = (later, soon);
        Ok(())
    })
}

fn structure(workshop: &mut Workshop) -> Result<(), QtspError> {
    let untrusted = || refuse(UNTRUSTED);
    let clause = "RFC 5280 §4.2";
    let twice =
        |oid: &'static str, value: Vec<u8>| Extension { oid: oid.into(), critical: false, value };
    for (name, about, extension) in [
        (
            "twice-basic-constraints",
            "basicConstraints twice, the second with cA = TRUE.",
            twice(BASIC_CONSTRAINTS, basic_constraints(true, None)?),
        ),
        (
            "twice-ext-key-usage",
            "extKeyUsage twice.",
            twice(EXT_KEY_USAGE, ext_key_usage(&[SERVER_AUTH])?),
        ),
    ] {
        workshop.add(name, about, clause, untrusted(), &|piece| {
            piece.draft.extensions.push(extension.clone());
            Ok(())
        })?;
    }
    let about = "An extension of no standard, twice.";
    workshop.add("twice-unknown-extension", about, clause, untrusted(), &|piece| {
        for value in [b"one", b"two"] {
            let value = octets(value)?;
            piece.draft.extensions.push(twice("1.3.6.1.4.1.99999.2", value));
        }
        Ok(())
    })?;
    let about = "A critical extension of no standard.";
    workshop.add("critical-unknown-extension", about, clause, untrusted(), &|piece| {
        let extension =
            Extension { oid: "1.3.6.1.4.1.99999.2".into(), critical: true, value: octets(b"x")? };
        piece.draft.extensions.push(extension);
        Ok(())
    })?;
    let about = "qcStatements is critical, which EN 319 412-5 §4.1 forbids.";
    workshop.add("critical-qc-statements", about, "EN 319 412-5 §4.1", untrusted(), &|piece| {
        for extension in &mut piece.draft.extensions {
            extension.critical |= extension.oid == QC_STATEMENTS;
        }
        Ok(())
    })?;
    let about = "Neither authorityKeyIdentifier nor subjectKeyIdentifier.";
    let keys = "RFC 5280 §4.2.1.1";
    workshop.add("key-identifiers-missing", about, keys, untrusted(), &|piece| {
        piece.draft.identified = false;
        Ok(())
    })?;
    let about = "nameConstraints in a certificate that is no CA's.";
    let names = "RFC 5280 §4.2.1.10";
    workshop.add("name-constraints-in-leaf", about, names, untrusted(), &|piece| {
        piece.draft.set(NAME_CONSTRAINTS, permitted_dns("corpus.example")?);
        Ok(())
    })?;
    let about = "An octet after the value of subjectAltName.";
    workshop.add("extension-trailing-octet", about, "X.690 §10", untrusted(), &|piece| {
        for extension in &mut piece.draft.extensions {
            if extension.oid == ALTERNATIVE_NAME {
                extension.value.push(0);
            }
        }
        Ok(())
    })?;
    let about = "extKeyUsage holds no list.";
    workshop.add("extension-malformed", about, "RFC 5280 §4.2.1.12", untrusted(), &|piece| {
        piece.draft.set(EXT_KEY_USAGE, oid("1.3.6.1.5.5.7.3.2")?);
        Ok(())
    })?;
    let about = "A serial number of 40 octets.";
    workshop.add("serial-40-octets", about, "RFC 5280 §4.1.2.2", untrusted(), &|piece| {
        piece.draft.serial = vec![0x7f; 40];
        Ok(())
    })?;
    let about = "70 extensions.";
    workshop.add("extensions-too-many", about, clause, untrusted(), &|piece| {
        for arc in 10..74 {
            let oid = format!("1.3.6.1.4.1.99999.{arc}").into();
            piece.draft.extensions.push(Extension { oid, critical: false, value: octets(b"x")? });
        }
        Ok(())
    })?;
    let signature = "RFC 5280 §4.1.1.3";
    let about = "One bit of the signature is another.";
    workshop.add_spoilt("spoilt-signature", about, signature, untrusted(), &|der| {
        if let Some(last) = der.last_mut() {
            *last ^= 1;
        }
        Ok(())
    })?;
    let about = "One letter of the subject is another.";
    workshop.add_spoilt("spoilt-subject", about, signature, untrusted(), &|der| {
        let at = der.windows(12).position(|window| window == b"Corpus Funds");
        if let Some(octet) = at.and_then(|at| der.get_mut(at)) {
            *octet = b'K';
        }
        Ok(())
    })?;
    let about = "An octet after the certificate.";
    workshop.add_spoilt("spoilt-trailing-octet", about, "X.690 §10", untrusted(), &|der| {
        der.push(0);
        Ok(())
    })?;
    workshop.add_spoilt(
        "spoilt-cut",
        "The last octet is missing.",
        "X.690 §10",
        untrusted(),
        &|der| {
            der.pop();
            Ok(())
        },
    )?;
    let about = "Indefinite length, which BER allows and DER does not.";
    workshop.add_spoilt("spoilt-indefinite-length", about, "X.690 §10.1", untrusted(), &|der| {
        let content = der.get(4..).unwrap_or_default().to_vec();
        *der = [&[0x30, 0x80][..], &content, &[0, 0]].concat();
        Ok(())
    })?;
    let about = "A sequence of one number.";
    workshop.add_spoilt("spoilt-nonsense", about, "RFC 5280 §4.1", untrusted(), &|der| {
        *der = sequence(&[vec![2, 1, 1]])?;
        Ok(())
    })
}
