//! qcStatements: missing, malformed, of another kind, and roles that are not the one that is
//! needed.

use super::workshop::{PSD2_STATEMENT, QC_COMPLIANCE, Workshop, lint, refuse};
use crate::test_qtsp::QtspError;
use crate::test_qtsp::der::{integer, null, oid, sequence, text, universal};
use crate::test_qtsp::draft::{Extension, QC_STATEMENTS, qc_type, statement};

const NOT_QWAC: &str = "certificate_not_qwac";
const QC: &str = "ETSI EN 319 412-5 §4";
const PSD2: &str = "ETSI TS 119 495 annex A";

pub(super) fn make(workshop: &mut Workshop) -> Result<(), QtspError> {
    kinds(workshop)?;
    encodings(workshop)?;
    psd2(workshop)?;
    roles(workshop)
}

fn kinds(workshop: &mut Workshop) -> Result<(), QtspError> {
    let good = workshop.piece()?.psd2.encode()?;
    let psd2 = || statement(PSD2_STATEMENT, Some(good.clone()));
    let compliance = || statement(QC_COMPLIANCE, None);
    let add = |workshop: &mut Workshop, name, about, code, statements: Vec<Vec<u8>>| {
        workshop.add(name, about, QC, lint(NOT_QWAC, code), &|piece| piece.state(&statements))
    };
    let about = "No qcStatements at all: an ordinary TLS client certificate.";
    workshop.add("qc-missing", about, QC, lint(NOT_QWAC, "qc_statements_absent"), &|piece| {
        piece.draft.remove(QC_STATEMENTS);
        Ok(())
    })?;
    let list = vec![qc_type(&["3"])?, psd2()?];
    add(workshop, "qc-no-compliance", "No QcCompliance.", "qc_compliance_missing", list)?;
    let countries = sequence(&[universal(19, b"US")?])?;
    let law = statement("0.4.0.1862.1.7", Some(countries))?;
    let list = vec![compliance()?, law, qc_type(&["3"])?, psd2()?];
    let about = "Qualified under the law of another country.";
    add(workshop, "qc-other-legislation", about, "qc_legislation_other", list)?;
    for (name, about, types) in [
        ("qc-type-missing", "No QcType.", None),
        ("qc-type-seal", "A QSEALC: QcType is eseal.", Some(vec!["2"])),
        ("qc-type-signature", "QcType is esign.", Some(vec!["1"])),
        ("qc-type-two", "QcType names web and eseal.", Some(vec!["3", "2"])),
        ("qc-type-unknown", "QcType is no known type.", Some(vec!["9"])),
    ] {
        let kind = types.map(|types| qc_type(&types)).transpose()?;
        let list = [vec![compliance()?], kind.into_iter().collect(), vec![psd2()?]].concat();
        add(workshop, name, about, "qc_type_not_web", list)?;
    }
    let list = vec![compliance()?, qc_type(&["3"])?];
    add(workshop, "psd2-missing", "No PSD2 statement.", "psd2_statement_missing", list)?;
    let list = vec![compliance()?, qc_type(&["3"])?, psd2()?, psd2()?];
    add(workshop, "psd2-twice", "Two PSD2 statements.", "qc_statement_twice", list)?;
    let list = vec![compliance()?, compliance()?, qc_type(&["3"])?, psd2()?];
    add(workshop, "qc-compliance-twice", "QcCompliance twice.", "qc_statement_twice", list)
}

fn encodings(workshop: &mut Workshop) -> Result<(), QtspError> {
    let good = workshop.piece()?.psd2.encode()?;
    let bare = statement(PSD2_STATEMENT, Some(good.clone()))?;
    let list = sequence(&[statement(QC_COMPLIANCE, None)?, qc_type(&["3"])?, bare.clone()])?;
    let long_form = match list.split_first_chunk::<2>() {
        Some(([tag, length], rest)) if *length < 0x80 => {
            [&[*tag, 0x81, *length][..], rest].concat()
        }
        // Long already: one octet of length too many.
        Some(([tag, 0x81], rest)) => [&[*tag, 0x82, 0][..], rest].concat(),
        _ => list.clone(),
    };
    let mut trailing = list.clone();
    trailing.push(0);
    for (name, about, value) in [
        ("qc-bare-statement", "One statement without the list around it.", bare),
        ("qc-long-length", "A length in more octets than DER allows.", long_form),
        ("qc-trailing-octet", "An octet after the list.", trailing),
        ("qc-null", "NULL for a list.", null()?),
        ("qc-empty-list", "A list of no statements.", sequence(&[])?),
        ("qc-cut", "The list ends early.", list.get(..list.len() - 3).unwrap_or(&[]).to_vec()),
        ("qc-no-octets", "An extension value of no octets.", Vec::new()),
    ] {
        let expect = lint(NOT_QWAC, "qc_statements_malformed");
        workshop.add(name, about, "RFC 3739 §3.2.6; X.690 §10", expect, &|piece| {
            piece.draft.set(QC_STATEMENTS, value.clone());
            Ok(())
        })?;
    }
    let about = "The qcStatements extension twice.";
    let clause = "RFC 5280 §4.2";
    workshop.add("qc-extension-twice", about, clause, refuse("certificate_untrusted"), &|piece| {
        let value = list.clone();
        piece.draft.extensions.push(Extension {
            oid: QC_STATEMENTS.into(),
            critical: false,
            value,
        });
        Ok(())
    })
}

fn psd2(workshop: &mut Workshop) -> Result<(), QtspError> {
    let role = || sequence(&[oid("0.4.0.19495.1.4")?, text("PSP_IC")?]);
    let (name, id) = (text("Central Bank of Ireland")?, text("IE-CBI")?);
    let roles = sequence(&[role()?])?;
    let long = text(&"A".repeat(257))?;
    let of = |role: Vec<u8>| -> Result<Vec<u8>, QtspError> {
        sequence(&[sequence(&[role])?, name.clone(), id.clone()])
    };
    let many = sequence(&std::iter::repeat_with(role).take(33).collect::<Result<Vec<_>, _>>()?)?;
    for (member, about, value) in [
        ("psd2-no-authority-id", "No nCAId.", sequence(&[roles.clone(), name.clone()])?),
        (
            "psd2-fourth-element",
            "A fourth element.",
            sequence(&[roles.clone(), name.clone(), id.clone(), null()?])?,
        ),
        (
            "psd2-authority-name-integer",
            "nCAName is a number.",
            sequence(&[roles.clone(), integer(&[1])?, id.clone()])?,
        ),
        (
            "psd2-authority-name-empty",
            "nCAName is empty.",
            sequence(&[roles.clone(), text("")?, id.clone()])?,
        ),
        (
            "psd2-authority-name-long",
            "nCAName of 257 characters.",
            sequence(&[roles.clone(), long, id.clone()])?,
        ),
        (
            "psd2-authority-name-control",
            "A line feed in nCAName.",
            sequence(&[roles.clone(), text("Central\nBank")?, id.clone()])?,
        ),
        (
            "psd2-authority-name-bmp",
            "nCAName is a BMPString.",
            sequence(&[roles.clone(), universal(30, b"\0B")?, id.clone()])?,
        ),
        (
            "psd2-role-without-name",
            "A role without its name.",
            of(sequence(&[oid("0.4.0.19495.1.4")?])?)?,
        ),
        (
            "psd2-role-name-empty",
            "A role with an empty name.",
            of(sequence(&[oid("0.4.0.19495.1.4")?, text("")?])?)?,
        ),
        (
            "psd2-role-as-text",
            "A role whose OID is a text.",
            of(sequence(&[text("0.4.0.19495.1.4")?, text("PSP_IC")?])?)?,
        ),
        ("psd2-role-not-a-sequence", "A role that is an OID alone.", of(oid("0.4.0.19495.1.4")?)?),
        ("psd2-too-many-roles", "33 roles.", sequence(&[many, name.clone(), id.clone()])?),
        ("psd2-null", "NULL for a statement.", null()?),
    ] {
        let expect = lint(NOT_QWAC, "psd2_statement_malformed");
        workshop.add(member, about, PSD2, expect, &|piece| piece.state_psd2(value.clone()))?;
    }
    let flood =
        sequence(&std::iter::repeat_with(role).take(20_000).collect::<Result<Vec<_>, _>>()?)?;
    let flood = sequence(&[flood, name.clone(), id.clone()])?;
    let about = "20 000 roles: refused by its length, before anything is read.";
    workshop.add("psd2-flood-of-roles", about, PSD2, refuse("certificate_untrusted"), &|piece| {
        piece.presentable = false;
        piece.state_psd2(flood.clone())
    })
}

fn roles(workshop: &mut Workshop) -> Result<(), QtspError> {
    let clause = "ETSI TS 119 495 §5.2.2; PSD2 art. 65";
    for (name, about, roles) in [
        ("role-account-information", "PSP_AI only.", &[("3", "PSP_AI")][..]),
        ("role-account-servicing", "PSP_AS only: a bank is not every TPP.", &[("1", "PSP_AS")]),
        ("role-payment-initiation", "PSP_PI only.", &[("2", "PSP_PI")]),
        ("role-verification-of-payee", "VOP_RS and VOP_VS.", &[("51", "VOP_RS"), ("52", "VOP_VS")]),
        (
            "role-all-but-one",
            "Every role of PSD2 but PSP_IC.",
            &[("1", "PSP_AS"), ("2", "PSP_PI"), ("3", "PSP_AI")],
        ),
    ] {
        workshop.add(name, about, clause, refuse("role_missing"), &|piece| piece.roles(roles))?;
    }
    for (name, about, roles, warning) in [
        (
            "role-unspecified",
            "The role \"unspecified\".",
            &[("0", "Unspecified")][..],
            "roles_empty",
        ),
        ("role-unknown", "A role of no standard.", &[("99", "PSP_XX")], "role_unknown"),
        ("role-none", "An empty list of roles.", &[], "roles_empty"),
        ("role-name-lies", "The OID of PSP_AI named PSP_IC.", &[("3", "PSP_IC")], "role_name"),
        ("role-oid-longer", "An OID below PSP_IC's.", &[("4.1", "PSP_IC")], "role_unknown"),
    ] {
        let expect = super::Expect { warning: Some(warning), ..refuse("role_missing") };
        workshop.add(name, about, clause, expect, &|piece| piece.roles(roles))?;
    }
    let about = "The role's OID is of another arc that ends in 4.";
    let clause = "ETSI TS 119 495 §5.2.2";
    let expect = super::Expect { warning: Some("role_unknown"), ..refuse("role_missing") };
    workshop.add("role-other-arc", about, clause, expect, &|piece| {
        piece.psd2.roles = vec![("0.4.0.194121.1.4".to_owned(), "PSP_IC".to_owned())];
        piece.restate()
    })
}
