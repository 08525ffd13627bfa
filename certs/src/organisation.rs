//! The name by which a TPP is known everywhere in Octroi: its organizationIdentifier
//! (OID 2.5.4.97, ETSI EN 319 412-1 §5.1.4, TS 119 495 §5.2.1), byte for byte.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::limits::ORGANISATION_ID_BYTES_MAX;

/// An organisation id, exactly as the certificate or the register wrote it.
///
/// Two ids are the same when their octets are: nothing is trimmed, folded or normalised, so a
/// homoglyph or another dash is another name, and an unknown one. Cloning copies a pointer.
///
/// # Examples
/// ```
/// use certs::OrganisationId;
///
/// let id = OrganisationId::new("PSDFI-FINFSA-0111027-9")?;
/// let psd = id.psd().ok_or("not the PSD form")?;
/// assert_eq!((psd.country, psd.authority, psd.reference), ("FI", "FINFSA", "0111027-9"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrganisationId(Arc<str>);

impl OrganisationId {
    /// Takes `text` as it is, or says why it cannot name anybody.
    ///
    /// # Errors
    /// Empty, longer than [`ORGANISATION_ID_BYTES_MAX`], white space at an end, or a control
    /// character anywhere (NUL, line breaks and the C1 range included).
    pub fn new(text: &str) -> Result<Self, OrganisationIdError> {
        if text.is_empty() {
            return Err(OrganisationIdError::Empty);
        }
        if text.len() > ORGANISATION_ID_BYTES_MAX {
            return Err(OrganisationIdError::TooLong { bytes: text.len() });
        }
        if let Some((position, _)) = text.char_indices().find(|(_, c)| c.is_control()) {
            return Err(OrganisationIdError::ControlCharacter { position });
        }
        if text.trim() != text {
            return Err(OrganisationIdError::WhiteSpaceAtEnd);
        }
        Ok(Self(text.into()))
    }

    /// The id as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The three parts of the PSD form `PSDcc-authority-reference` (TS 119 495 §5.2.1), or `None`
    /// for another form that EN 319 412-1 §5.1.4 allows (VAT, NTR, LEI…).
    ///
    /// Only the first two hyphens separate: authorities hand out references that contain more.
    pub fn psd(&self) -> Option<PsdForm<'_>> {
        let mut parts = self.0.strip_prefix("PSD")?.splitn(3, '-');
        let (country, authority, reference) = (parts.next()?, parts.next()?, parts.next()?);
        let capitals = |text: &str| text.bytes().all(|b| b.is_ascii_uppercase());
        let well_formed = country.len() == 2
            && capitals(country)
            && (2..=8).contains(&authority.len())
            && capitals(authority)
            && !reference.is_empty();
        well_formed.then_some(PsdForm { country, authority, reference })
    }
}

impl fmt::Display for OrganisationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for OrganisationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OrganisationId({:?})", &*self.0)
    }
}

/// The parts of an organisation id in the PSD form (TS 119 495 §5.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PsdForm<'a> {
    /// ISO 3166-1 alpha-2 code of the authority's country, in capitals.
    pub country: &'a str,
    /// The authority's code, two to eight capitals.
    pub authority: &'a str,
    /// The authority's reference for the TPP; any characters, hyphens included.
    pub reference: &'a str,
}

/// Why a text is no organisation id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OrganisationIdError {
    /// Nothing between the quotes.
    #[error("the organisation id is empty")]
    Empty,
    /// Longer than any authority writes; refused before it is stored or compared.
    #[error(
        "the organisation id has {bytes} octets, at most {ORGANISATION_ID_BYTES_MAX} are accepted"
    )]
    TooLong {
        /// Octets found.
        bytes: usize,
    },
    /// NUL, a line break or another control character: it would split logs and truncate in C.
    #[error("the organisation id has a control character at octet {position}")]
    ControlCharacter {
        /// Octet offset, from 0.
        position: usize,
    },
    /// A space that nobody sees and that makes another name.
    #[error("the organisation id begins or ends with white space")]
    WhiteSpaceAtEnd,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_psd_form_is_split_on_its_first_two_hyphens_only() {
        let id = OrganisationId::new("PSDFI-FINFSA-0111027-9").unwrap();
        let expected = PsdForm { country: "FI", authority: "FINFSA", reference: "0111027-9" };
        assert_eq!(id.psd(), Some(expected));
    }

    #[test]
    fn other_forms_are_names_but_not_psd_forms() {
        for text in [
            "VATFR-12345678901",
            "PSDFIN-FINFSA-1234567-8",
            "psdFR-ACPR-1",
            "PSDfr-ACPR-1",
            "PSDFR-acpr-1",
            "PSDFR-A-1",
            "PSDFR-ABCDEFGHI-1",
            "PSDFR-ACPR-",
            "PSDFR-ACPR",
            "PSDFR\u{2013}ACPR\u{2013}1",
        ] {
            assert_eq!(OrganisationId::new(text).unwrap().psd(), None, "{text}");
        }
    }

    #[test]
    fn texts_that_a_person_would_misread_are_refused() {
        use OrganisationIdError::*;
        for (text, fault) in [
            ("", Empty),
            ("PSDFR-ACPR-1 ", WhiteSpaceAtEnd),
            ("\u{a0}PSDFR-ACPR-1", WhiteSpaceAtEnd),
            ("PSDFR-ACPR-1\n", ControlCharacter { position: 12 }),
            ("PSDFR-\0ACPR-1", ControlCharacter { position: 6 }),
        ] {
            assert_eq!(OrganisationId::new(text), Err(fault), "{text:?}");
        }
        let long = "A".repeat(ORGANISATION_ID_BYTES_MAX + 1);
        assert_eq!(OrganisationId::new(&long), Err(TooLong { bytes: long.len() }));
    }

    #[test]
    fn ids_that_differ_in_one_octet_are_different_tpps() {
        let id = |text| OrganisationId::new(text).unwrap();
        assert_ne!(id("PSDFR-ACPR-12345"), id("PSDFR-ACPR-1234-5"));
        assert_ne!(id("PSDFR-ACPR-1"), id("PSDFR-\u{410}CPR-1"));
        assert_ne!(id("PSDFR-ACPR-1"), id("psdfr-acpr-1"));
    }

    proptest! {
        #[test]
        fn an_accepted_text_is_kept_octet_for_octet(text in any::<String>()) {
            if let Ok(id) = OrganisationId::new(&text) {
                prop_assert_eq!(id.as_str(), text.as_str());
                prop_assert_eq!(text.trim(), text.as_str());
            }
        }

        #[test]
        fn the_psd_parts_put_together_are_the_id(
            text in "PSD[A-Z]{2}-[A-Z]{2,8}-[!-~]{1,40}"
        ) {
            let id = OrganisationId::new(&text).unwrap();
            let psd = id.psd().unwrap();
            let again = format!("PSD{}-{}-{}", psd.country, psd.authority, psd.reference);
            prop_assert_eq!(again, text);
        }
    }
}
