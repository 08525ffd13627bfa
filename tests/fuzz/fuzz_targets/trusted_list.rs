//! A trusted list, from the first octet to its services.
#![no_main]

use certs::{TrustedList, Use};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(list) = TrustedList::read(data) {
        for service in &list.services {
            let _ = service.issues(Use::Web, list.issued);
        }
    }
});
