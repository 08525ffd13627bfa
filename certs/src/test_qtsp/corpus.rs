//! Certificates and chains, good and bad in one way each, with the verdict that a gateway for
//! funds confirmation (role PSP_IC, service PS_05A) owes each of them.

mod authority;
mod chains;
mod good;
mod names;
mod purposes;
mod statements;
#[cfg(test)]
mod tests;
mod workshop;

use jiff::Timestamp;

use super::QtspError;
use workshop::Workshop;

/// The version of the corpus' layout and of the meaning of its members' names.
pub const FORMAT: u32 = 1;

/// An EBA register extract that lists every organisation of the corpus as its member says.
pub const REGISTER: &str = r#"[[{"disclaimer":"Made up for the Octroi corpus; no such organisations exist."}],[
{"CA_OwnerID":"IE_CBI","EntityCode":"IE_CBI!C1","EntityType":"PSD_PI","Properties":[{"ENT_NAT_REF_COD":"C1"},{"ENT_NAM":"Corpus Funds"},{"ENT_AUT":["2018-07-02"]}],"Services":[{"IE":["PS_05A","PS_080"]},{"FR":["PS_05A"]}]},
{"CA_OwnerID":"IE_CBI","EntityCode":"IE_CBI!C2","EntityType":"PSD_PI","Properties":[{"ENT_NAT_REF_COD":"C2"},{"ENT_NAM":"Corpus Withdrawn"},{"ENT_AUT":["2018-07-02","2020-01-01"]}],"Services":[{"IE":["PS_05A"]}]},
{"CA_OwnerID":"IE_CBI","EntityCode":"IE_CBI!C3","EntityType":"PSD_PI","Properties":[{"ENT_NAT_REF_COD":"C3"},{"ENT_NAM":"Corpus Account Information"},{"ENT_AUT":["2018-07-02"]}],"Services":[{"IE":["PS_080"]}]},
{"CA_OwnerID":"IE_CBI","EntityCode":"IE_CBI!C4-5","EntityType":"PSD_PI","Properties":[{"ENT_NAT_REF_COD":"C4-5"},{"ENT_NAM":"Corpus With Hyphen"},{"ENT_AUT":["2018-07-02"]}],"Services":[{"IE":["PS_05A"]}]}
]]"#;

/// What a gateway owes a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Expect {
    /// The reason of the refusal; none: the certificate opens the gate.
    pub reason: Option<&'static str>,
    /// The lint that refuses it, where the profile does.
    pub lint: Option<&'static str>,
    /// A warning that it draws, where it is there for that.
    pub warning: Option<&'static str>,
}

/// One member.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Member {
    /// Its stable name.
    pub name: &'static str,
    /// What is special about it.
    pub about: &'static str,
    /// The rule, and where it stands.
    pub clause: &'static str,
    /// Leaf first, then what is sent with it, in PEM.
    pub chain_pem: Vec<u8>,
    /// The leaf's key in PEM (PKCS #8).
    pub key_pem: Vec<u8>,
    /// Whether a TLS client can present it at all: some keys and encodings no library would send.
    pub presentable: bool,
    /// The verdict.
    pub expect: Expect,
}

/// All of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Corpus {
    /// The CAs that a trusted list would name, in PEM.
    pub anchors_pem: Vec<u8>,
    /// CAs below them that complete paths, in PEM.
    pub intermediates_pem: Vec<u8>,
    /// Names and revocation lists in PEM.
    pub crls: Vec<(&'static str, Vec<u8>)>,
    /// The members.
    pub members: Vec<Member>,
}

impl Corpus {
    /// Makes the corpus anew: keys, serial numbers and dates differ, names and verdicts do not.
    /// The verdicts hold for 24 hours from `now`.
    ///
    /// # Errors
    /// OpenSSL cannot make a part of it.
    pub fn make(now: Timestamp) -> Result<Self, QtspError> {
        let mut workshop = Workshop::open(now)?;
        good::make(&mut workshop)?;
        names::make(&mut workshop)?;
        statements::make(&mut workshop)?;
        purposes::make(&mut workshop)?;
        chains::make(&mut workshop)?;
        workshop.close()
    }
}
