//! The records of the authorization server as they stand in the store.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policies::ledger::{CodeRecord, GrantRecord, Standing};
use policies::limits::LEDGER_RECORD_BYTES_MAX;

fuzz_target!(|data: &[u8]| {
    // What was left out is written as null: a record at the bound may grow beyond it.
    let fits = |json: &Vec<u8>| json.len() <= LEDGER_RECORD_BYTES_MAX;
    if let Ok(code) = CodeRecord::from_json(data)
        && let Some(json) = Some(code.to_json()).filter(fits)
    {
        assert_eq!(CodeRecord::from_json(&json), Ok(code));
    }
    if let Ok(grant) = GrantRecord::from_json(data)
        && let Some(json) = Some(grant.to_json()).filter(fits)
    {
        assert_eq!(GrantRecord::from_json(&json), Ok(grant));
    }
    if let Ok(standing) = Standing::from_json(Some(data))
        && let Some(json) = Some(standing.to_json()).filter(fits)
    {
        assert_eq!(Standing::from_json(Some(&json)), Ok(standing));
    }
});
