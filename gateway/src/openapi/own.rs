//! What a TPP asks of the gateway itself.

use serde_json::json;

use super::refusals::{CALLER, Refusals, Words};
use super::{Description, Listener, Operation, TPP, identified};
use crate::introduction;

pub(super) fn describe(description: &mut Description<'_>) {
    let schema = introduction::describe(&mut description.answered).to_value();
    let operation = Operation::new(Listener::Tpp, TPP, "tpp-self", "Who the caller is taken for")
        .saying("What the certificate says, what the registers say, and which API would let it in.")
        .answers(
            200,
            json!({
                "description": "The caller.",
                "headers": identified(),
                "content": { "application/json": { "schema": schema } },
            }),
        )
        .refuses(Refusals { words: Words::Problem, reasons: &[CALLER] });
    description.add(policies::SELF_PATH, "GET", operation);
}
