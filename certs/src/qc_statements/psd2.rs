//! The PSD2 statement: roles and competent authority (ETSI TS 119 495 §5.2 and annex A).
//!
//! ```text
//! PSD2QcType ::= SEQUENCE { rolesOfPSP RolesOfPSP, nCAName NCAName, nCAId NCAId }
//! RolesOfPSP ::= SEQUENCE OF SEQUENCE { roleOfPspOid OID, roleOfPspName UTF8String (SIZE(1..256)) }
//! NCAName, NCAId ::= UTF8String (SIZE (1..256))
//! ```

use thiserror::Error;
use x509_parser::asn1_rs::{Any, Oid, oid};

use crate::der;
use crate::limits::{PSD2_ROLES_MAX, PSD2_TEXT_CHARACTERS_MAX};
use crate::role::{PspRole, RoleSet};

const PSD2_ROLE: Oid<'static> = oid!(0.4.0.19495.1);

/// What the issuer states about the payment service provider.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Psd2Statement {
    /// The roles whose OID we know. The OID alone decides, never the name beside it.
    pub roles: RoleSet,
    /// OIDs of other roles: a state may register its own (GEN-5.2.2-4). They grant nothing.
    pub unknown_roles: Vec<String>,
    /// OID and name of every role, as written and in the order written.
    pub role_names: Vec<(String, String)>,
    /// nCAName: the competent authority in plain text.
    pub authority_name: String,
    /// nCAId: country, hyphen, authority code.
    pub authority_id: String,
}

impl Psd2Statement {
    pub(super) fn read(info: Option<&Any<'_>>) -> Result<Self, Psd2Fault> {
        let parts = info.and_then(|any| der::elements(any, 3)).ok_or(Psd2Fault::Shape)?;
        let [roles, authority_name, authority_id] = parts.as_slice() else {
            return Err(Psd2Fault::Shape);
        };
        let mut statement = Self {
            roles: RoleSet::EMPTY,
            unknown_roles: Vec::new(),
            role_names: Vec::new(),
            authority_name: text(authority_name).ok_or(Psd2Fault::AuthorityName)?,
            authority_id: text(authority_id).ok_or(Psd2Fault::AuthorityId)?,
        };
        for role in der::elements(roles, PSD2_ROLES_MAX).ok_or(Psd2Fault::Roles)? {
            statement.add_role(&role)?;
        }
        Ok(statement)
    }

    fn add_role(&mut self, role: &Any<'_>) -> Result<(), Psd2Fault> {
        let position = self.role_names.len() + 1;
        let parts = der::elements(role, 2).ok_or(Psd2Fault::Role { position })?;
        let [id, name] = parts.as_slice() else { return Err(Psd2Fault::Role { position }) };
        let id = der::oid(id).ok_or(Psd2Fault::Role { position })?;
        let name = text(name).ok_or(Psd2Fault::Role { position })?;
        let oid = id.to_id_string();
        match known_role(&id) {
            Some(role) => self.roles.insert(role),
            None => self.unknown_roles.push(oid.clone()),
        }
        self.role_names.push((oid, name));
        Ok(())
    }
}

/// The role of an OID that is exactly one arc below 0.4.0.19495.1.
fn known_role(id: &Oid<'_>) -> Option<PspRole> {
    match id.as_bytes().strip_prefix(PSD2_ROLE.as_bytes())? {
        [arc] if arc & 0x80 == 0 => PspRole::from_oid_arc(u64::from(*arc)),
        _ => None,
    }
}

fn text(any: &Any<'_>) -> Option<String> {
    let text = der::text(any)?;
    let fits = (1..=PSD2_TEXT_CHARACTERS_MAX).contains(&text.chars().count());
    (fits && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// Why the PSD2 statement cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Psd2Fault {
    /// Not a sequence of roles, authority name and authority id.
    #[error("it is not the sequence of roles, nCAName and nCAId (TS 119 495 annex A)")]
    Shape,
    /// The list of roles is none, or has more than [`PSD2_ROLES_MAX`] entries.
    #[error("its list of roles is not a list of at most {PSD2_ROLES_MAX} roles")]
    Roles,
    /// One role is not an OID with a name.
    #[error(
        "role {position} is not an OID with a name of 1 to {PSD2_TEXT_CHARACTERS_MAX} characters"
    )]
    Role {
        /// From 1.
        position: usize,
    },
    /// nCAName is no text.
    #[error("nCAName is not a text of 1 to {PSD2_TEXT_CHARACTERS_MAX} characters")]
    AuthorityName,
    /// nCAId is no text.
    #[error("nCAId is not a text of 1 to {PSD2_TEXT_CHARACTERS_MAX} characters")]
    AuthorityId,
}
