//! The third-party providers of the sandbox: one that everything is right with, and for each
//! refusal that a certificate or a register can cause, one that shows it and nothing else.

use certs::PspRole;

/// A TPP, with what its certificates say and what is wrong with it. All of them are fictional: the
/// references that the authorities "gave" them lie outside those that exist.
#[derive(Debug, Clone, Copy)]
pub struct Tpp {
    /// Its directory under `tpp/`, and its name in commands.
    pub name: &'static str,
    /// The organisation in the subject of its certificates.
    pub organisation: &'static str,
    /// The organizationIdentifier in the same place.
    pub organisation_id: &'static str,
    /// ISO 3166-1 alpha-2 code of its seat.
    pub country: &'static str,
    /// The name of its authority, as the PSD2 statement gives it (ETSI TS 119 495 §5.1).
    pub authority_name: &'static str,
    /// The id of its authority in the same place.
    pub authority_id: &'static str,
    /// The roles in the same place.
    pub roles: &'static [PspRole],
    /// The kind of its keys.
    pub keys: Keys,
    /// What is wrong with its certificates.
    pub fault: Fault,
    /// What it is there for, for people.
    pub purpose: &'static str,
}

/// The kind of a TPP's keys. Both kinds are in use among QTSPs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// ECDSA on P-256: made in no time.
    P256,
    /// RSA with 2048 bits.
    Rsa2048,
}

/// What is wrong with the certificates of a TPP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// They ended yesterday.
    Expired,
    /// Their QTSP has revoked them.
    Revoked,
    /// They come from a QTSP that is not an anchor.
    Untrusted,
    /// They are ordinary certificates, without qcStatements.
    NoPsd2,
}

impl Tpp {
    /// All TPPs of the sandbox, in the order in which people should meet them.
    pub const ALL: [Tpp; 10] = [
        FUNDS_CO,
        Tpp {
            name: "multi-role",
            organisation: "Multi Role Zahlungen GmbH (sandbox)",
            organisation_id: "PSDDE-BAFIN-99999902",
            country: "DE",
            authority_name: "Bundesanstalt für Finanzdienstleistungsaufsicht",
            authority_id: "DE-BAFIN",
            roles: &[
                PspRole::PaymentInitiation,
                PspRole::AccountInformation,
                PspRole::CardBasedInstruments,
            ],
            keys: Keys::Rsa2048,
            fault: Fault::None,
            purpose: "authorised for all three roles, with RSA keys",
        },
        Tpp {
            name: "account-info",
            organisation: "Account Info B.V. (sandbox)",
            organisation_id: "PSDNL-DNB-R999903",
            country: "NL",
            authority_name: "De Nederlandsche Bank",
            authority_id: "NL-DNB",
            roles: &[PspRole::AccountInformation],
            keys: Keys::P256,
            fault: Fault::None,
            purpose: "may see accounts, but not ask for funds",
        },
        Tpp {
            name: "withdrawn",
            organisation: "Withdrawn Payments DAC (sandbox)",
            organisation_id: "PSDIE-CBI-C999904",
            country: "IE",
            authority_name: "Central Bank of Ireland",
            authority_id: "IE-CBI",
            purpose: "good certificates; the register says that its authorisation ended",
            ..FUNDS_CO
        },
        Tpp {
            name: "unknown",
            organisation: "Unknown Payments SA (sandbox)",
            organisation_id: "PSDBE-NBB-999999905",
            country: "BE",
            authority_name: "Nationale Bank van België",
            authority_id: "BE-NBB",
            purpose: "good certificates; no register has ever heard of it",
            ..FUNDS_CO
        },
        Tpp {
            name: "expired",
            organisation: "Expired Payments Oy (sandbox)",
            organisation_id: "PSDFI-FINFSA-9999990-6",
            country: "FI",
            authority_name: "Finanssivalvonta",
            authority_id: "FI-FINFSA",
            fault: Fault::Expired,
            purpose: "authorised, but its certificates are over",
            ..FUNDS_CO
        },
        Tpp {
            name: "revoked",
            organisation: "Revoked Payments UAB (sandbox)",
            organisation_id: "PSDLT-BL-LB999907",
            country: "LT",
            authority_name: "Lietuvos bankas",
            authority_id: "LT-BL",
            fault: Fault::Revoked,
            purpose: "authorised, but its certificates are on the revocation list",
            ..FUNDS_CO
        },
        Tpp {
            name: "untrusted",
            fault: Fault::Untrusted,
            purpose: "says that it is funds-co; a QTSP that is not an anchor vouches for it",
            ..FUNDS_CO
        },
        Tpp {
            name: "no-psd2",
            fault: Fault::NoPsd2,
            purpose: "funds-co with a TLS client certificate that is not a QWAC",
            ..FUNDS_CO
        },
        Tpp {
            name: "renewed",
            purpose: "funds-co after a renewal: another key, another certificate, the same tokens",
            ..FUNDS_CO
        },
    ];

    /// The TPP of this name.
    pub fn named(name: &str) -> Option<&'static Tpp> {
        const ALL: &[Tpp] = &Tpp::ALL;
        ALL.iter().find(|tpp| tpp.name == name)
    }
}

const FUNDS_CO: Tpp = Tpp {
    name: "funds-co",
    organisation: "Funds & Co SAS (sandbox)",
    organisation_id: "PSDFR-ACPR-99901",
    country: "FR",
    authority_name: "Autorité de contrôle prudentiel et de résolution",
    authority_id: "FR-ACPR",
    roles: &[PspRole::CardBasedInstruments],
    keys: Keys::P256,
    fault: Fault::None,
    purpose: "authorised to ask for funds",
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use certs::OrganisationId;

    use super::*;

    #[test]
    fn every_tpp_has_an_organisation_id_that_agrees_with_its_authority() {
        for tpp in Tpp::ALL {
            let id = OrganisationId::new(tpp.organisation_id).unwrap();
            let psd = id.psd().unwrap();
            assert_eq!(format!("{}-{}", psd.country, psd.authority), tpp.authority_id);
            assert_eq!(psd.country, tpp.country);
        }
    }

    #[test]
    fn only_the_doubles_of_funds_co_share_its_organisation_id() {
        let ids: BTreeSet<_> = Tpp::ALL.iter().map(|tpp| tpp.organisation_id).collect();
        let doubles = Tpp::ALL.iter().filter(|tpp| tpp.organisation_id == FUNDS_CO.organisation_id);
        let doubles: Vec<_> = doubles.map(|tpp| tpp.name).collect();
        assert_eq!(doubles, ["funds-co", "untrusted", "no-psd2", "renewed"]);
        assert_eq!(ids.len(), Tpp::ALL.len() - doubles.len() + 1);
    }

    #[test]
    fn all_but_account_info_hold_the_role_so_that_only_their_own_fault_refuses_them() {
        for tpp in Tpp::ALL {
            let asks_for_funds = tpp.roles.contains(&PspRole::CardBasedInstruments);
            assert_eq!(asks_for_funds, tpp.name != "account-info", "{}", tpp.name);
            assert_eq!(Tpp::named(tpp.name).map(|found| found.name), Some(tpp.name));
        }
    }
}
