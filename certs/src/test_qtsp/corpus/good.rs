//! Certificates that open the gate, each a little out of the ordinary.

use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;

use super::authority::{curve, p256, pem};
use super::workshop::{
    CLIENT_AUTH, PSD2_STATEMENT, QC_COMPLIANCE, SERVER_AUTH, Workshop, accept, warn,
};
use crate::test_qtsp::QtspError;
use crate::test_qtsp::der::{context, integer, octets, oid, sequence, text, universal};
use crate::test_qtsp::draft::{
    ALTERNATIVE_NAME, Algorithm, COMMON_NAME, COUNTRY, CRL_POINTS, EXT_KEY_USAGE, Extension,
    ISSUER_INFO, KEY_USAGE, ORGANISATION, POLICIES, UTF8, ext_key_usage, key_usage, qc_type,
    statement,
};

const ROLES: &str = "ETSI TS 119 495 §5.2.2";

pub(super) fn make(workshop: &mut Workshop) -> Result<(), QtspError> {
    workshop.add(
        "good",
        "A QWAC as it should be, sent alone.",
        "ETSI TS 119 495",
        accept(),
        &|_| Ok(()),
    )?;
    let key = p256()?;
    let about = "A second QWAC of the same organisation, with another key: a renewal.";
    workshop.add("good-renewed", about, "ETSI TS 119 495", accept(), &|piece| {
        piece.with_key(key.clone())
    })?;
    roles(workshop)?;
    statements(workshop)?;
    keys(workshop)?;
    signatures(workshop)?;
    extensions(workshop)?;
    subject(workshop)?;
    life(workshop)
}

fn roles(workshop: &mut Workshop) -> Result<(), QtspError> {
    let all = [("1", "PSP_AS"), ("2", "PSP_PI"), ("3", "PSP_AI"), ("4", "PSP_IC")];
    for (name, about, roles, expect) in [
        ("good-all-roles", "All four roles, PSP_IC last.", &all[..], accept()),
        (
            "good-role-first",
            "PSP_IC first, PSP_PI after it.",
            &[("4", "PSP_IC"), ("2", "PSP_PI")],
            accept(),
        ),
        ("good-role-twice", "PSP_IC twice.", &[("4", "PSP_IC"), ("4", "PSP_IC")], accept()),
        (
            "good-role-of-payee-check",
            "VOP_RS beside PSP_IC.",
            &[("51", "VOP_RS"), ("4", "PSP_IC")],
            accept(),
        ),
        (
            "good-role-unknown-beside",
            "A role of no standard beside PSP_IC.",
            &[("99", "PSP_XX"), ("4", "PSP_IC")],
            warn("role_unknown"),
        ),
        (
            "good-role-named-otherwise",
            "PSP_IC's OID under another name.",
            &[("4", "Card Based Payment Instruments")],
            warn("role_name"),
        ),
    ] {
        workshop.add(name, about, ROLES, expect, &|piece| piece.roles(roles))?;
    }
    let about = "nCAName with letters outside ASCII.";
    workshop.add(
        "good-authority-name-in-greek",
        about,
        "ETSI TS 119 495 §5.2.3",
        warn("authority_name_not_latin"),
        &|piece| {
            piece.psd2.authority_name = "Τράπεζα της Ελλάδος / Société".to_owned();
            piece.restate()
        },
    )
}

fn statements(workshop: &mut Workshop) -> Result<(), QtspError> {
    let clause = "EN 319 412-5 §4";
    let about = "The PSD2 statement first, QcCompliance last.";
    workshop.add("good-statements-in-other-order", about, clause, accept(), &|piece| {
        let psd2 = statement(PSD2_STATEMENT, Some(piece.psd2.encode()?))?;
        piece.state(&[psd2, qc_type(&["3"])?, statement(QC_COMPLIANCE, None)?])
    })?;
    let about = "Retention period, QcSSCD, a disclosure statement and a statement of no standard.";
    let expect = warn("qc_sscd_for_web");
    workshop.add("good-more-statements", about, clause, expect, &|piece| {
        let psd2 = statement(PSD2_STATEMENT, Some(piece.psd2.encode()?))?;
        let place =
            sequence(&[universal(22, b"https://qtsp.corpus.invalid/pds")?, universal(19, b"en")?])?;
        piece.state(&[
            statement(QC_COMPLIANCE, None)?,
            statement("0.4.0.1862.1.3", Some(integer(&[10])?))?,
            statement("0.4.0.1862.1.4", None)?,
            statement("0.4.0.1862.1.5", Some(sequence(&[place])?))?,
            qc_type(&["3"])?,
            psd2,
            statement("1.3.6.1.4.1.99999.1", Some(text("whatever")?))?,
        ])
    })
}

fn keys(workshop: &mut Workshop) -> Result<(), QtspError> {
    let clause = "ETSI TS 119 312 §6";
    for (name, about, key) in [
        ("good-key-p384", "A key on P-384.", curve(Nid::SECP384R1)?),
        ("good-key-p521", "A key on P-521.", curve(Nid::SECP521R1)?),
        ("good-key-ed25519", "An Ed25519 key.", PKey::generate_ed25519()?),
        ("good-key-rsa-2048", "An RSA key of 2048 bits.", PKey::from_rsa(Rsa::generate(2048)?)?),
        ("good-key-rsa-3072", "An RSA key of 3072 bits.", PKey::from_rsa(Rsa::generate(3072)?)?),
        ("good-key-rsa-4096", "An RSA key of 4096 bits.", PKey::from_rsa(Rsa::generate(4096)?)?),
    ] {
        workshop.add(name, about, clause, accept(), &|piece| piece.with_key(key.clone()))?;
    }
    let about = "An RSA key for PSS only (id-RSASSA-PSS).";
    workshop.add("good-key-rsa-pss", about, "RFC 4055 §1.2", accept(), &|piece| {
        let rsa = Rsa::generate(2048)?;
        let algorithm = sequence(&[oid("1.2.840.113549.1.1.10")?])?;
        let public = crate::test_qtsp::der::bits(&rsa.public_key_to_der_pkcs1()?)?;
        piece.draft.key = sequence(&[algorithm.clone(), public])?;
        let private = octets(&rsa.private_key_to_der()?)?;
        let pkcs8 = sequence(&[integer(&[0])?, algorithm, private])?;
        piece.key_pem = Some(pem("PRIVATE KEY", &[&pkcs8]));
        Ok(())
    })
}

fn signatures(workshop: &mut Workshop) -> Result<(), QtspError> {
    let clause = "ETSI TS 119 312 §5";
    let rsa = workshop.rsa.clone();
    for (name, about, algorithm) in [
        ("good-signed-rsa-sha256", "Signed with RSA and SHA-256.", Algorithm::RsaSha256),
        ("good-signed-rsa-sha384", "Signed with RSA and SHA-384.", Algorithm::RsaSha384),
        ("good-signed-rsa-sha512", "Signed with RSA and SHA-512.", Algorithm::RsaSha512),
        ("good-signed-rsa-pss", "Signed with RSA-PSS and SHA-256.", Algorithm::PssSha256),
    ] {
        workshop.add(name, about, clause, accept(), &|piece| {
            piece.issued_by(&rsa);
            piece.draft.algorithm = algorithm;
            Ok(())
        })?;
    }
    let root = workshop.root.clone();
    let about = "Signed with ECDSA on P-384 and SHA-384, by a root.";
    workshop.add("good-signed-ecdsa-sha384", about, clause, accept(), &|piece| {
        piece.issued_by(&root);
        Ok(())
    })
}

fn extensions(workshop: &mut Workshop) -> Result<(), QtspError> {
    let clause = "RFC 5280 §4.2.1.3, §4.2.1.12";
    workshop.add(
        "good-no-key-usage",
        "No keyUsage.",
        clause,
        warn("key_usage_missing"),
        &|piece| {
            piece.draft.remove(KEY_USAGE);
            Ok(())
        },
    )?;
    let expect = warn("ext_key_usage_missing");
    workshop.add("good-no-ext-key-usage", "No extKeyUsage.", clause, expect, &|piece| {
        piece.draft.remove(EXT_KEY_USAGE);
        Ok(())
    })?;
    workshop.add(
        "good-client-only",
        "extKeyUsage clientAuth only.",
        clause,
        accept(),
        &|piece| {
            piece.draft.set(EXT_KEY_USAGE, ext_key_usage(&[CLIENT_AUTH])?);
            Ok(())
        },
    )?;
    let about = "emailProtection beside clientAuth and serverAuth.";
    workshop.add("good-more-purposes", about, clause, accept(), &|piece| {
        let email = "1.3.6.1.5.5.7.3.4";
        piece.draft.set(EXT_KEY_USAGE, ext_key_usage(&[email, SERVER_AUTH, CLIENT_AUTH])?);
        Ok(())
    })?;
    let about = "digitalSignature and keyEncipherment, which a key of an elliptic curve cannot do.";
    let expect = warn("key_usage_for_ec");
    workshop.add("good-key-encipherment", about, clause, expect, &|piece| {
        piece.draft.set(KEY_USAGE, key_usage(&[0, 2])?);
        Ok(())
    })?;
    let about = "No host name in subjectAltName.";
    let expect = warn("alternative_name_missing");
    workshop.add("good-no-alternative-name", about, "EN 319 412-4 §4.1", expect, &|piece| {
        piece.draft.remove(ALTERNATIVE_NAME);
        Ok(())
    })?;
    let about = "Neither CRL nor OCSP is named; the bank has the list of the issuer.";
    let expect = warn("revocation_source_missing");
    workshop.add("good-no-revocation-source", about, "EN 319 412-2 §4.4.1", expect, &|piece| {
        piece.draft.remove(CRL_POINTS);
        piece.draft.remove(ISSUER_INFO);
        Ok(())
    })?;
    let about = "The policy QCP-w-psd2 (0.4.0.19495.3.1).";
    workshop.add("good-policy", about, "ETSI TS 119 495 §6.1", accept(), &|piece| {
        let policy = sequence(&[sequence(&[oid("0.4.0.19495.3.1")?])?])?;
        piece.draft.set(POLICIES, policy);
        Ok(())
    })?;
    let about = "An extension of no standard that is not critical.";
    workshop.add("good-unknown-extension", about, "RFC 5280 §4.2", accept(), &|piece| {
        let value = context(0, false, b"whatever")?;
        let extension = Extension { oid: "1.3.6.1.4.1.99999.2".into(), critical: false, value };
        piece.draft.extensions.push(extension);
        Ok(())
    })
}

fn subject(workshop: &mut Workshop) -> Result<(), QtspError> {
    let clause = "EN 319 412-3 §4.2.1";
    for (name, about, organisation) in [
        ("good-comma-in-organisation", "A comma in organizationName.", "Funds, Cards and Sons"),
        (
            "good-equals-in-organisation",
            "Looks like another attribute: O=x,2.5.4.97=….",
            "x,2.5.4.97=PSDIE-CBI-C2",
        ),
        ("good-slash-in-organisation", "A slash in organizationName.", "Funds/CN=other"),
        (
            "good-organisation-in-utf8",
            "Letters outside ASCII in organizationName.",
            "Établissement de paiement № 7",
        ),
    ] {
        workshop.add(name, about, clause, accept(), &|piece| {
            piece.draft.rename(ORGANISATION, UTF8, organisation.as_bytes());
            Ok(())
        })?;
    }
    for (name, about, oid, warning) in [
        ("good-no-country", "No countryName.", COUNTRY, "subject_country_missing"),
        (
            "good-no-organisation",
            "No organizationName.",
            ORGANISATION,
            "subject_organisation_missing",
        ),
        ("good-no-common-name", "No commonName.", COMMON_NAME, "subject_common_name_missing"),
    ] {
        workshop.add(name, about, clause, warn(warning), &|piece| {
            piece.draft.subject.retain(|rdn| rdn.iter().all(|attribute| attribute.0 != oid));
            Ok(())
        })?;
    }
    Ok(())
}

fn life(workshop: &mut Workshop) -> Result<(), QtspError> {
    let clause = "RFC 5280 §4.1.2";
    let (after_2050, in_900_days) = (workshop.hours(24 * 365 * 25), workshop.hours(24 * 900));
    let about = "Valid for 900 days.";
    workshop.add("good-long-validity", about, clause, warn("validity_long"), &|piece| {
        piece.draft.not_after = in_900_days;
        Ok(())
    })?;
    let about = "notAfter beyond 2050, in GeneralizedTime; the issuer ends earlier.";
    workshop.add(
        "good-generalized-time",
        about,
        "RFC 5280 §4.1.2.5.2",
        warn("validity_long"),
        &|piece| {
            piece.draft.not_after = after_2050;
            Ok(())
        },
    )?;
    for (name, about, serial, expect) in [
        ("good-serial-short", "The serial number 1.", vec![1], warn("serial_short")),
        ("good-serial-zero", "The serial number 0.", vec![0], warn("serial_form")),
        ("good-serial-negative", "A negative serial number.", vec![0x9f; 12], warn("serial_form")),
        ("good-serial-20-octets", "A serial number of 20 octets.", vec![0x7f; 20], accept()),
    ] {
        workshop.add(name, about, "RFC 5280 §4.1.2.2", expect, &|piece| {
            piece.draft.serial.clone_from(&serial);
            Ok(())
        })?;
    }
    Ok(())
}
