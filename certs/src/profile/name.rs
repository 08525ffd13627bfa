//! Whether the organizationIdentifier of a certificate names one TPP, readable in one way only, and
//! the same one that the rest of the certificate speaks of (TS 119 495 §5.2.1, EN 319 412-1 §5.1.4).

use thiserror::Error;

use crate::leaf::{Leaf, OrganisationIdValue, StringType};
use crate::organisation::{OrganisationId, OrganisationIdError, PsdForm};
use crate::qc_statements::Psd2Statement;

/// The countries whose authorities authorise payment service providers under PSD2: the EEA, and
/// the United Kingdom for its certificates of before 2021 (ISO 3166-1 alpha-2).
const AUTHORITY_COUNTRIES: [&str; 31] = [
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GR", "HR", "HU", "IE",
    "IS", "IT", "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
];

/// Why a certificate's one organizationIdentifier cannot be relied on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(clippy::exhaustive_enums)]
pub enum NameFault {
    /// Another ASN.1 type: each has its own way to write one name in several octet strings.
    #[error("it is a {0}, UTF8String or PrintableString is accepted")]
    StringType(StringType),
    /// Not of its type, or longer than any.
    #[error("its octets are not of its string type, or too many")]
    Octets,
    /// U+0000: what ends a text for some readers and not for others.
    #[error("it has a NUL at octet {position}")]
    Nul {
        /// Octet offset, from 0.
        position: usize,
    },
    /// Empty, too long, or a control character.
    #[error("{0}")]
    Text(#[from] OrganisationIdError),
    /// White space that is not a single space within the reference.
    #[error("it has white space at octet {position}, where nobody sees it")]
    WhiteSpace {
        /// Octet offset, from 0.
        position: usize,
    },
    /// A character that looks like the hyphen-minus and is another.
    #[error("the dash at octet {position} is U+{code:04X}, not the hyphen U+002D")]
    Dash {
        /// Octet offset, from 0.
        position: usize,
        /// Its code point.
        code: u32,
    },
    /// A letter that looks like another, a zero width character, a byte order mark.
    #[error("the character at octet {position} (U+{code:04X}) is outside ASCII")]
    NotAscii {
        /// Octet offset, from 0.
        position: usize,
        /// Its code point.
        code: u32,
    },
    /// `psdfr-acpr-1`.
    #[error("the PSD form is written in capitals: it is compared octet by octet")]
    Case,
    /// `PSDFIN-…`, `PSDFR-ACPR-`.
    #[error("it begins with PSD but is not PSDcc-authority-reference")]
    PsdForm,
    /// No such country, or none with an authority under PSD2.
    #[error("{country} is no country with a competent authority under PSD2")]
    Country {
        /// As written.
        country: String,
    },
    /// nCAId names another authority.
    #[error("it names the authority {here}, the PSD2 statement names {statement} (nCAId)")]
    Authority {
        /// Of the organizationIdentifier.
        here: String,
        /// nCAId, as written.
        statement: String,
    },
    /// countryName of the subject is another country.
    #[error("it is of {here}, the subject's countryName is {subject}")]
    SubjectCountry {
        /// Of the organizationIdentifier.
        here: String,
        /// countryName, as written.
        subject: String,
    },
}

/// Judges the only organizationIdentifier of `leaf` by itself, then against the rest.
pub(super) fn judge(
    value: &OrganisationIdValue,
    leaf: &Leaf,
    psd2: Option<&Psd2Statement>,
) -> Result<OrganisationId, NameFault> {
    if !value.string_type.is_accepted() {
        return Err(NameFault::StringType(value.string_type));
    }
    let text = value.text.as_deref().ok_or(NameFault::Octets)?;
    plain(text)?;
    let id = OrganisationId::new(text)?;
    if let Some(psd) = id.psd() {
        agrees(psd, leaf, psd2)?;
    } else if text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("PSD")) {
        let capitals = OrganisationId::new(&text.to_ascii_uppercase())?;
        return Err(if capitals.psd().is_some() { NameFault::Case } else { NameFault::PsdForm });
    }
    Ok(id)
}

/// No character that a person would take for another or not see at all.
fn plain(text: &str) -> Result<(), NameFault> {
    let reference = text.match_indices('-').nth(1).map_or(text.len(), |(position, _)| position);
    for (position, character) in text.char_indices() {
        let code = u32::from(character);
        if character == '\0' {
            return Err(NameFault::Nul { position });
        }
        // A space within the authority's reference is how some authorities write it.
        let inner = character == ' '
            && position > reference
            && text
                .get(position + 1..)
                .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(' '));
        if character.is_control() || inner {
            continue;
        }
        if character.is_whitespace() {
            return Err(NameFault::WhiteSpace { position });
        }
        if is_dash(character) {
            return Err(NameFault::Dash { position, code });
        }
        if !character.is_ascii() {
            return Err(NameFault::NotAscii { position, code });
        }
    }
    Ok(())
}

/// Unicode's dashes (general category Pd and what is drawn like them), the hyphen-minus excepted.
const fn is_dash(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{58a}' | '\u{2010}'
            ..='\u{2015}'
                | '\u{2043}'
                | '\u{2212}'
                | '\u{2e3a}'
                | '\u{2e3b}'
                | '\u{30fc}'
                | '\u{fe58}'
                | '\u{fe63}'
                | '\u{ff0d}'
    )
}

fn agrees(psd: PsdForm<'_>, leaf: &Leaf, psd2: Option<&Psd2Statement>) -> Result<(), NameFault> {
    if !AUTHORITY_COUNTRIES.contains(&psd.country) {
        return Err(NameFault::Country { country: psd.country.to_owned() });
    }
    if let Some(statement) = psd2.map(|psd2| psd2.authority_id.as_str())
        && statement.split_once('-') != Some((psd.country, psd.authority))
    {
        return Err(NameFault::Authority {
            here: format!("{}-{}", psd.country, psd.authority),
            statement: statement.to_owned(),
        });
    }
    match leaf.subject_country() {
        Some(subject) if subject != psd.country => Err(NameFault::SubjectCountry {
            here: psd.country.to_owned(),
            subject: subject.to_owned(),
        }),
        _ => Ok(()),
    }
}
