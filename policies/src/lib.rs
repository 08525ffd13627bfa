//! Everything that is decided: reasons, routes, register, token, client, quota and body rules, and
//! the decision itself.
//!
//! No I/O, no clock, no logging: facts and the instant come in as arguments, a [`Permit`] or a
//! [`Refusal`] comes out. [`admit`] is the whole of it on one page.

#![forbid(unsafe_code)]

pub mod client;
pub mod freshness;
pub mod ledger;
pub mod limits;
pub mod probing;
pub mod quota;
pub mod register;
pub mod statistics;

mod check;
mod decide;
mod funds_confirmation;
mod lane;
mod presented;
mod reason;
mod routes;
mod scope;
mod seals;
mod token;
mod verdict;
mod world;

pub use check::{Check, CheckName, CheckOutcome, CheckSet, Evidence, Source, Trail};
pub use decide::{
    Admitted, Approached, Call, Cleared, Diverted, Entitled, GuardMode, InterfaceFact,
    Introduction, Limited, Met, Metered, Opened, Opening, Permit, Placeable, QuestionsFact, Sealed,
    Sealing, StandingFact, Understood, admit, approach, asks_who_it_is, divert, introduce,
    may_be_sent_customers, observe, withdrawal,
};
pub use funds_confirmation::{BodyFault, FundsRequest, Member, Wrong, electronic_iban};
pub use lane::Lane;
pub use presented::Presented;
pub use quota::{Quota, QuotaFact};
pub use reason::{Blame, Reason};
pub use register::{Register, ServiceCode, ServiceSet, Standing, WhenUndetermined};
pub use routes::{
    AmountForm, Api, ApiVersion, BodyRule, BrownOut, Codetab, Domain, Fallback, FallbackWhen, Life,
    LifeFault, LifeStage, Method, Notice, Routes, RoutesError, SELF_PATH, on,
};
pub use scope::Scope;
pub use seals::Seals;
pub use token::{
    AccountDigest, Granted, Partition, Psu, SECRET_BYTES, SecretKind, TokenDigest, TokenFact,
    TokenKind, TokenName, TokenRecord, TokenRecordError,
};
pub use verdict::{Detail, Refusal};
pub use world::{World, WorldError, WorldParts};
