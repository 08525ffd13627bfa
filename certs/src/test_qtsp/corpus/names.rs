//! Organisation ids that a person, or another program, would read as another's.

use super::workshop::{Piece, Workshop, accept, lint, refuse};
use crate::test_qtsp::QtspError;
use crate::test_qtsp::draft::{
    ALTERNATIVE_NAME, COMMON_NAME, COUNTRY, ORGANISATION, ORGANISATION_ID, PRINTABLE, UTF8,
    attribute, dns_name,
};

const CLAUSE: &str = "ETSI TS 119 495 §5.2.1; EN 319 412-1 §5.1.4";
const MISSING: &str = "organisation_id_missing";
const AMBIGUOUS: &str = "organisation_id_ambiguous";

/// Name, what is special, id, lint.
const TEXTS: [(&str, &str, &str, &str); 25] = [
    (
        "name-nul-embedded",
        "A NUL ends the name for readers in C.",
        "PSDIE-CBI-C1\0X",
        "organisation_id_nul",
    ),
    (
        "name-space-at-end",
        "A space after the name.",
        "PSDIE-CBI-C1 ",
        "organisation_id_white_space",
    ),
    (
        "name-space-at-start",
        "A space before the name.",
        " PSDIE-CBI-C1",
        "organisation_id_white_space",
    ),
    (
        "name-space-in-authority",
        "A space within the authority.",
        "PSDIE-C BI-C1",
        "organisation_id_white_space",
    ),
    (
        "name-two-spaces",
        "Two spaces within the reference.",
        "PSDIE-CBI-C  1",
        "organisation_id_white_space",
    ),
    (
        "name-no-break-space",
        "U+00A0 at the end.",
        "PSDIE-CBI-C1\u{a0}",
        "organisation_id_white_space",
    ),
    (
        "name-ideographic-space",
        "U+3000 at the end.",
        "PSDIE-CBI-C1\u{3000}",
        "organisation_id_white_space",
    ),
    (
        "name-line-feed",
        "A line feed, which would split a log line.",
        "PSDIE-CBI-C1\n",
        "organisation_id_control",
    ),
    ("name-tab", "A tabulator within the reference.", "PSDIE-CBI-C\t1", "organisation_id_control"),
    ("name-escape", "An ANSI escape sequence.", "PSDIE-CBI-C1\u{1b}[2K", "organisation_id_control"),
    ("name-en-dash", "U+2013 for the first hyphen.", "PSDIE\u{2013}CBI-C1", "organisation_id_dash"),
    (
        "name-non-breaking-hyphen",
        "U+2011 for the second hyphen.",
        "PSDIE-CBI\u{2011}C1",
        "organisation_id_dash",
    ),
    (
        "name-minus-sign",
        "U+2212 for the first hyphen.",
        "PSDIE\u{2212}CBI-C1",
        "organisation_id_dash",
    ),
    (
        "name-fullwidth-hyphen",
        "U+FF0D for the first hyphen.",
        "PSDIE\u{ff0d}CBI-C1",
        "organisation_id_dash",
    ),
    (
        "name-soft-hyphen",
        "An invisible U+00AD in the reference.",
        "PSDIE-CBI-C\u{ad}1",
        "organisation_id_dash",
    ),
    (
        "name-cyrillic-letter",
        "U+0421 for the Latin C.",
        "PSDIE-\u{421}BI-C1",
        "organisation_id_not_ascii",
    ),
    (
        "name-fullwidth-letter",
        "U+FF23 for the Latin C.",
        "PSDIE-CBI-\u{ff23}1",
        "organisation_id_not_ascii",
    ),
    (
        "name-zero-width-space",
        "An invisible U+200B at the end.",
        "PSDIE-CBI-C1\u{200b}",
        "organisation_id_not_ascii",
    ),
    (
        "name-byte-order-mark",
        "U+FEFF at the start.",
        "\u{feff}PSDIE-CBI-C1",
        "organisation_id_not_ascii",
    ),
    (
        "name-right-to-left",
        "U+202E turns what follows around.",
        "PSDIE-CBI-\u{202e}1C",
        "organisation_id_not_ascii",
    ),
    ("name-lower-case-prefix", "psd for PSD.", "psdIE-CBI-C1", "organisation_id_case"),
    ("name-lower-case-authority", "cbi for CBI.", "PSDIE-cbi-C1", "organisation_id_case"),
    ("name-three-letter-country", "IRL for IE.", "PSDIRL-CBI-C1", "organisation_id_form"),
    ("name-no-reference", "Nothing after the second hyphen.", "PSDIE-CBI-", "organisation_id_form"),
    (
        "name-authority-one-letter",
        "An authority of one letter.",
        "PSDIE-C-C1",
        "organisation_id_form",
    ),
];

/// Name, what is special, ASN.1 tag, content octets, lint.
const TYPES: [(&str, &str, u32, &[u8], &str); 5] = [
    (
        "name-bmp-string",
        "A BMPString.",
        30,
        b"\0P\0S\0D\0I\0E\0-\0C\0B\0I\0-\0C\x001",
        "organisation_id_bmp",
    ),
    ("name-teletex-string", "A TeletexString.", 20, b"PSDIE-CBI-C1", "organisation_id_teletex"),
    (
        "name-universal-string",
        "A UniversalString.",
        28,
        b"\0\0\0P\0\0\0S\0\0\0D",
        "organisation_id_universal",
    ),
    ("name-ia5-string", "An IA5String.", 22, b"PSDIE-CBI-C1", "organisation_id_ia5"),
    (
        "name-not-printable",
        "An underscore in a PrintableString.",
        19,
        b"PSDIE-CBI-C_1",
        "organisation_id_octets",
    ),
];

pub(super) fn make(workshop: &mut Workshop) -> Result<(), QtspError> {
    for (name, about, id, code) in TEXTS {
        workshop.add(name, about, CLAUSE, lint(MISSING, code), &|piece| {
            piece.rename(id);
            Ok(())
        })?;
    }
    for (name, about, tag, octets, code) in TYPES {
        workshop.add(name, about, CLAUSE, lint(MISSING, code), &|piece| {
            piece.draft.rename(ORGANISATION_ID, tag, octets);
            Ok(())
        })?;
    }
    // With these the name is none, and so the whole certificate.
    for (name, about, tag, octets) in [
        ("name-octet-string", "An OCTET STRING.", 4, &b"PSDIE-CBI-C1"[..]),
        ("name-invalid-utf8", "Octets that are no UTF-8.", UTF8, b"PSDIE-CBI-\xff1"),
        (
            "name-overlong-utf8",
            "The hyphen in two octets, as UTF-8 forbids.",
            UTF8,
            b"PSDIE\xc0\xadCBI-C1",
        ),
    ] {
        workshop.add(name, about, CLAUSE, refuse("certificate_untrusted"), &|piece| {
            piece.draft.rename(ORGANISATION_ID, tag, octets);
            Ok(())
        })?;
    }
    how_often(workshop)?;
    agreement(workshop)?;
    forms(workshop)
}

fn how_often(workshop: &mut Workshop) -> Result<(), QtspError> {
    let missing = || lint(MISSING, MISSING);
    let without = |piece: &mut Piece| {
        for rdn in &mut piece.draft.subject {
            rdn.retain(|attribute| attribute.0 != ORGANISATION_ID);
        }
        piece.draft.subject.retain(|rdn| !rdn.is_empty());
    };
    workshop.add("name-missing", "No organizationIdentifier.", CLAUSE, missing(), &|piece| {
        without(piece);
        Ok(())
    })?;
    let about = "The id stands in commonName only.";
    workshop.add("name-in-common-name", about, CLAUSE, missing(), &|piece| {
        without(piece);
        piece.draft.rename(COMMON_NAME, UTF8, b"PSDIE-CBI-C1");
        Ok(())
    })?;
    let about = "The id stands in subjectAltName only.";
    workshop.add("name-in-alternative-name", about, CLAUSE, missing(), &|piece| {
        without(piece);
        piece.draft.set(ALTERNATIVE_NAME, dns_name("PSDIE-CBI-C1")?);
        Ok(())
    })?;
    workshop.add(
        "name-empty",
        "An empty organizationIdentifier.",
        CLAUSE,
        lint(MISSING, "organisation_id_empty"),
        &|piece| {
            piece.rename("");
            // OpenSSL does not build a name with an empty attribute, some servers read it.
            Ok(())
        },
    )?;
    let about = "An organizationIdentifier of 300 octets.";
    workshop.add(
        "name-too-long",
        about,
        CLAUSE,
        lint(MISSING, "organisation_id_octets"),
        &|piece| {
            piece.rename(&format!("PSDIE-CBI-{}", "1".repeat(290)));
            Ok(())
        },
    )?;
    let twice = || lint(AMBIGUOUS, "organisation_id_twice");
    let other = || attribute(ORGANISATION_ID, "PSDIE-CBI-C2");
    let about = "Two organizationIdentifiers in two RDNs.";
    workshop.add("name-twice", about, CLAUSE, twice(), &|piece| {
        piece.draft.subject.push(vec![other()]);
        Ok(())
    })?;
    let about = "Two organizationIdentifiers in one RDN.";
    workshop.add("name-twice-in-one-rdn", about, CLAUSE, twice(), &|piece| {
        for rdn in &mut piece.draft.subject {
            if rdn.iter().any(|attribute| attribute.0 == ORGANISATION_ID) {
                rdn.push(other());
            }
        }
        Ok(())
    })?;
    let about = "The same organizationIdentifier twice.";
    workshop.add("name-twice-the-same", about, CLAUSE, twice(), &|piece| {
        piece.draft.subject.push(vec![attribute(ORGANISATION_ID, "PSDIE-CBI-C1")]);
        Ok(())
    })
}

fn agreement(workshop: &mut Workshop) -> Result<(), QtspError> {
    for (name, about, statement) in [
        ("name-other-authority", "nCAId names another authority of the country.", "IE-XBI"),
        ("name-authority-of-other-country", "nCAId is of another country.", "FR-CBI"),
        ("name-authority-lower-case", "nCAId is not in capitals.", "ie-cbi"),
        ("name-authority-without-hyphen", "nCAId has no hyphen.", "IECBI"),
    ] {
        let expect = lint(MISSING, "organisation_id_authority");
        workshop.add(name, about, "ETSI TS 119 495 §5.2.3", expect, &|piece| {
            piece.psd2.authority_id = statement.to_owned();
            piece.restate()
        })?;
    }
    let clause = "EN 319 412-3 §4.2.1";
    let expect = lint(MISSING, "subject_country_other");
    let about = "The subject's countryName is another country.";
    workshop.add("name-subject-of-other-country", about, clause, expect, &|piece| {
        piece.draft.rename(COUNTRY, PRINTABLE, b"FR");
        Ok(())
    })?;
    let expect = lint(MISSING, "organisation_id_country");
    workshop.add(
        "name-no-such-country",
        "A country that does not exist.",
        CLAUSE,
        expect,
        &|piece| {
            piece.rename("PSDXX-CBI-C1");
            piece.psd2.authority_id = "XX-CBI".to_owned();
            piece.draft.rename(COUNTRY, PRINTABLE, b"XX");
            piece.restate()
        },
    )
}

/// Names that can be relied on: what becomes of them is the register's to say.
fn forms(workshop: &mut Workshop) -> Result<(), QtspError> {
    let about = "A VAT number: another form that EN 319 412-1 allows, unknown to the register.";
    let expect =
        super::Expect { warning: Some("organisation_id_other_form"), ..refuse("register_unknown") };
    workshop.add("name-vat-form", about, CLAUSE, expect, &|piece| {
        piece.rename("VATIE-1234567FA");
        Ok(())
    })?;
    let about = "An organisation that no register lists.";
    workshop.add(
        "register-unknown",
        about,
        "PSD2 art. 14",
        refuse("register_unknown"),
        &|piece| {
            piece.rename("PSDIE-CBI-C999");
            Ok(())
        },
    )?;
    let about = "The reference without its hyphen is another name.";
    workshop.add("register-other-hyphen", about, CLAUSE, refuse("register_unknown"), &|piece| {
        piece.rename("PSDIE-CBI-C-1");
        Ok(())
    })?;
    let about = "The register says that the authorisation has ended.";
    workshop.add(
        "register-withdrawn",
        about,
        "PSD2 art. 13",
        refuse("register_withdrawn"),
        &|piece| {
            piece.rename("PSDIE-CBI-C2");
            Ok(())
        },
    )?;
    let about = "The register lists another service only.";
    let expect = refuse("register_role_missing");
    workshop.add("register-other-service", about, "PSD2 Annex I", expect, &|piece| {
        piece.rename("PSDIE-CBI-C3");
        Ok(())
    })?;
    let about = "A hyphen within the authority's reference.";
    workshop.add("good-hyphen-in-reference", about, CLAUSE, accept(), &|piece| {
        piece.rename("PSDIE-CBI-C4-5");
        Ok(())
    })?;
    let about = "A space within the authority's reference: another name than the one without.";
    let expect =
        super::Expect { warning: Some("organisation_id_space"), ..refuse("register_unknown") };
    workshop.add("register-space-in-reference", about, CLAUSE, expect, &|piece| {
        piece.rename("PSDIE-CBI-C 1");
        Ok(())
    })?;
    let about = "The id as PrintableString.";
    workshop.add("good-printable-string", about, CLAUSE, accept(), &|piece| {
        piece.draft.rename(ORGANISATION_ID, 19, b"PSDIE-CBI-C1");
        Ok(())
    })?;
    let about = "organizationName and organizationIdentifier in one RDN.";
    workshop.add("good-multi-valued-rdn", about, "X.501 §9.3", accept(), &|piece| {
        piece.draft.subject = vec![
            vec![attribute(COUNTRY, "IE")],
            vec![
                attribute(ORGANISATION, "Corpus Funds"),
                attribute(ORGANISATION_ID, "PSDIE-CBI-C1"),
            ],
            vec![attribute(COMMON_NAME, "tpp.corpus.example")],
        ];
        Ok(())
    })?;
    let about = "The id is the first attribute of the subject.";
    workshop.add("good-id-first", about, CLAUSE, accept(), &|piece| {
        piece.draft.subject.reverse();
        Ok(())
    })
}
