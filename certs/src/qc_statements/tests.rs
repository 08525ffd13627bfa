//! The encodings are written out here: the test QTSP shares our idea of them, these octets do not.

use proptest::prelude::*;

use super::*;
use crate::role::{PspRole, RoleSet};

/// QcCompliance alone.
const COMPLIANCE: &str = "300a3008060604008e460101";
/// The PSD2 statement alone: PSP_IC, "An Authority", "FR-ACPR".
const PSD2: &str = "303830360606040081982702302c301330110607040081982701040c0650\
    53505f49430c0c416e20417574686f726974790c0746522d41435052";
/// QcType web alone.
const WEB: &str = "30153013060604008e4601063009060704008e46010603";

fn read(hex: &str) -> Result<QcStatements, QcFault> {
    QcStatements::from_der(&hex::decode(hex).unwrap())
}

#[test]
fn each_statement_is_read_by_its_oid() {
    assert!(read(COMPLIANCE).unwrap().compliance);
    let web = read(WEB).unwrap();
    assert!(!web.compliance);
    assert_eq!(web.types, [QcType::Web]);
    assert_eq!(web.psd2, None);
}

#[test]
fn a_psd2_statement_says_roles_and_authority() {
    let statements = read(PSD2).unwrap();
    let psd2 = statements.psd2.unwrap();
    assert_eq!(psd2.roles, [PspRole::CardBasedInstruments].into_iter().collect::<RoleSet>());
    assert_eq!(psd2.authority_name, "An Authority");
    assert_eq!(psd2.authority_id, "FR-ACPR");
}

#[test]
fn what_is_not_a_list_of_statements_is_a_fault() {
    for hex in
        ["", "3000", "0500", "30023000", "300806060400 8e460101", "30810a3008060604008e460101"]
    {
        let compact: String = hex.chars().filter(|c| !c.is_whitespace()).collect();
        assert!(read(&compact).is_err(), "{hex}");
    }
}

#[test]
fn a_statement_twice_is_a_fault() {
    let twice = "3014300806 0604008e460101 300806 0604008e460101".replace(' ', "");
    assert!(matches!(read(&twice), Err(QcFault::Duplicate { .. })));
}

proptest! {
    #[test]
    fn a_bent_statement_is_read_or_refused_without_a_panic(at in 0..23_usize, byte in any::<u8>()) {
        let mut bytes = hex::decode(WEB).unwrap();
        bytes[at] = byte;
        let _ = QcStatements::from_der(&bytes);
    }
}
