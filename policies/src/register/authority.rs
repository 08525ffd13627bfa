//! From an authority and its reference to organisation ids (TS 119 495 §5.2.1, annex D).
//!
//! A register row carries no organisation id. The authority's code in it is not always the one that
//! certificates carry, and what a national reference is differs from country to country.

use super::record::Origin;

/// One competent authority.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Authority {
    /// Its country.
    pub country: &'static str,
    /// Its codes in certificates (nCAId without the country): the one of TS 119 495 first.
    pub codes: &'static [&'static str],
    /// Its name.
    pub name: &'static str,
    /// What its references are.
    pub reference: Reference,
}

/// What the third part of an organisation id is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Reference {
    /// What the register writes as the national reference, octet for octet.
    AsWritten,
    /// The bank code (CIB), five characters; the register of payment institutions writes the SIREN,
    /// and REGAFI leads from one to the other.
    Cib,
}

macro_rules! authorities {
    ($($country:literal $codes:expr, $reference:ident, $name:literal;)+) => {
        /// Every authority with a code of its own in TS 119 495.
        pub const AUTHORITIES: &[Authority] = &[$(Authority {
            country: $country, codes: &$codes, name: $name, reference: Reference::$reference,
        },)+];
    };
}

authorities! {
    "AT" ["FMA"], AsWritten, "Austria Financial Market Authority";
    "BE" ["NBB"], AsWritten, "National Bank of Belgium";
    "BG" ["BNB"], AsWritten, "Bulgarian National Bank";
    "CY" ["CBC"], AsWritten, "Central Bank of Cyprus";
    "CZ" ["CNB"], AsWritten, "Czech National Bank";
    "DE" ["BAFIN"], AsWritten, "Federal Financial Supervisory Authority";
    "DK" ["DFSA"], AsWritten, "Danish Financial Supervisory Authority";
    "EE" ["FI"], AsWritten, "Estonia Financial Supervisory Authority";
    "ES" ["BE"], AsWritten, "Bank of Spain";
    "FI" ["FINFSA"], AsWritten, "Finnish Financial Supervisory Authority";
    "FR" ["ACPR"], Cib, "Prudential Supervisory and Resolution Authority";
    "GB" ["FCA"], AsWritten, "Financial Conduct Authority";
    "GR" ["BOG"], AsWritten, "Bank of Greece";
    "HR" ["CNB"], AsWritten, "Croatian National Bank";
    "HU" ["CBH"], AsWritten, "Central Bank of Hungary";
    "IE" ["CBI"], AsWritten, "Central Bank of Ireland";
    "IS" ["FME"], AsWritten, "Financial Supervisory Authority of Iceland";
    "IT" ["BI"], AsWritten, "Bank of Italy";
    "LI" ["FMA"], AsWritten, "Financial Market Authority Liechtenstein";
    "LT" ["BL"], AsWritten, "Bank of Lithuania";
    "LU" ["CSSF"], AsWritten, "Commission for the Supervision of Financial Sector";
    "LV" ["FCMC", "LB"], AsWritten, "Financial and Capital Markets Commission; Latvijas Banka since 2023";
    "MT" ["MFSA"], AsWritten, "Malta Financial Services Authority";
    "NL" ["DNB"], AsWritten, "The Netherlands Bank";
    "NO" ["FSA"], AsWritten, "The Financial Supervisory Authority of Norway";
    "PL" ["PFSA"], AsWritten, "Polish Financial Supervision Authority";
    "PT" ["BP"], AsWritten, "Bank of Portugal";
    "RO" ["NBR"], AsWritten, "National Bank of Romania";
    "SE" ["FINA"], AsWritten, "Swedish Financial Supervision Authority";
    "SI" ["BS"], AsWritten, "Bank of Slovenia";
    "SK" ["NBS"], AsWritten, "National Bank of Slovakia";
}

impl Authority {
    /// The authority of a country.
    #[must_use]
    pub fn of(country: &str) -> Option<&'static Self> {
        AUTHORITIES.iter().find(|authority| authority.country == country)
    }
}

/// Derives the ids of a row that `owner` (`IE_CBI`) keeps under `reference`.
///
/// The authority's code in certificates is the one of TS 119 495 for its country, or the letters of
/// the register's own code where that is another: a country has one competent authority, so both name
/// the same firm. A French SIREN leads nowhere by itself.
pub(super) fn derive(owner: &str, reference: &str) -> Result<Vec<Box<str>>, &'static str> {
    let Some((country, code)) = owner.split_once('_') else {
        return Err("CA_OwnerID is not a country and an authority");
    };
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    if !owner.bytes().all(plain) {
        return Err("CA_OwnerID has a character in it that no authority's code has");
    }
    let letters: String = code.chars().filter(char::is_ascii_alphabetic).collect();
    let capital = |text: &str| text.bytes().all(|octet| octet.is_ascii_uppercase());
    if country.len() != 2 || !capital(country) || letters.is_empty() || !capital(&letters) {
        return Err("CA_OwnerID is not a country and an authority in capitals");
    }
    let bound = certs::limits::ORGANISATION_ID_BYTES_MAX - "PSDXX-ABCDEFGH-".len();
    // No certificate can carry the white space around it: `octroi register lint` tells of it.
    let reference = reference.trim();
    if reference.is_empty() || reference.len() > bound {
        return Err("ENT_NAT_REF_COD is empty or too long");
    }
    if reference.chars().any(char::is_control) {
        return Err("ENT_NAT_REF_COD has a control character in it");
    }
    let known = Authority::of(country);
    if known.is_some_and(|authority| authority.reference == Reference::Cib)
        && !(reference.len() == 5 && reference.bytes().all(|b| b.is_ascii_alphanumeric()))
    {
        return Ok(Vec::new());
    }
    let mut codes: Vec<&str> = known.map(|authority| authority.codes.to_vec()).unwrap_or_default();
    if !codes.contains(&letters.as_str()) && (2..=8).contains(&letters.len()) {
        codes.push(&letters);
    }
    let id = |code: &&str| format!("PSD{country}-{code}-{reference}").into_boxed_str();
    Ok(codes.iter().map(id).collect())
}

/// A reference without what two writers may write differently.
pub(super) fn squeezed(id: &str) -> String {
    id.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

/// The authority of REGAFI's rows.
pub(super) const FRENCH_OWNER: &str = "FR_ACPR";

/// Whether a record of `origin` that `owner` keeps carries a SIREN.
pub(super) fn carries_siren(origin: Origin, owner: &str) -> bool {
    origin == Origin::EbaPayment && owner == FRENCH_OWNER
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(owner: &str, reference: &str) -> Vec<String> {
        derive(owner, reference).unwrap().iter().map(|id| id.to_string()).collect()
    }

    #[test]
    fn an_id_is_made_of_the_authoritys_code_in_certificates_and_the_reference_as_written() {
        assert_eq!(ids("IE_CBI", "C58301"), ["PSDIE-CBI-C58301"]);
        assert_eq!(ids("FI_FIN-FSA", "0111027-9"), ["PSDFI-FINFSA-0111027-9"]);
        assert_eq!(ids("MT_MFSA", "A 12345"), ["PSDMT-MFSA-A 12345"]);
        assert_eq!(ids("LV_LV", "1"), ["PSDLV-FCMC-1", "PSDLV-LB-1", "PSDLV-LV-1"]);
        assert_eq!(ids("XX_ABC", "1"), ["PSDXX-ABC-1"]);
        assert_eq!(ids("IE_CBI", " C1 "), ["PSDIE-CBI-C1"]);
        assert_ne!(ids("DE_BAFIN", "1-23"), ids("DE_BAFIN", "123"));
    }

    #[test]
    fn a_french_siren_leads_on_only_through_regafi_and_a_cib_by_itself() {
        assert!(ids("FR_ACPR", "888888888").is_empty());
        assert_eq!(ids("FR_ACPR", "30004"), ["PSDFR-ACPR-30004"]);
    }

    #[test]
    fn nothing_is_derived_from_what_is_no_authority_or_no_reference() {
        for (owner, reference) in [
            ("FR", "1"),
            ("fr_acpr", "30004"),
            ("FR_", "1"),
            ("F_ACPR", "1"),
            ("IE_C\u{1b}BI", "1"),
            ("IE_CBI", ""),
            ("IE_CBI", " "),
            ("IE_CBI", "1\n2"),
            ("IE_CBI", &"1".repeat(300)),
        ] {
            assert!(derive(owner, reference).is_err(), "{owner} {reference}");
        }
    }
}
