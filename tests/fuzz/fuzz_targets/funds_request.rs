//! The body of a funds confirmation.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policies::{AmountForm, FundsRequest};

fuzz_target!(|data: &[u8]| {
    let strict = FundsRequest::parse(data, AmountForm::String);
    let wide = FundsRequest::parse(data, AmountForm::StringOrNumber);
    if let Ok(request) = strict {
        assert_eq!(Ok(&request), wide.as_ref(), "what is a string is read alike in both");
        assert!(!request.amount().is_sign_negative());
    }
});
