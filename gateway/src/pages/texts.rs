//! Every sentence of the bank's pages. A language is an implementation of [`Texts`]: one that misses
//! a sentence does not compile.
//!
//! The sentences hold no markup; the templates escape them together with the names inside them.

mod english;
mod french;

use super::bank::{CodeProblem, ConsentScope, LoginProblem, MessageKind};
use super::language::Language;

impl Language {
    /// What the pages say in this language.
    pub(super) fn texts(self) -> &'static dyn Texts {
        match self {
            Self::French => &french::French,
            Self::English => &english::English,
        }
    }
}

/// A full page that ends the visit or interrupts it.
pub(super) struct Notice {
    pub(super) title: &'static str,
    pub(super) happened: String,
    pub(super) to_do: &'static str,
}

/// What is said to the customer.
pub(super) trait Texts: Sync {
    /// The name of the language in itself.
    fn name(&self) -> &'static str;
    fn bank(&self) -> &'static str;
    fn sandbox(&self) -> &'static str;
    fn sandbox_detail(&self) -> &'static str;
    fn languages(&self) -> &'static str;
    fn footer(&self) -> &'static str;
    /// Before the title of the window, where a screen reader hears first that something went wrong.
    fn error(&self) -> &'static str;
    fn step(&self, number: &str) -> String;
    /// Interrupts before anything was asked of the customer.
    fn leave(&self, tpp: &str) -> String;

    fn login_title(&self) -> &'static str;
    fn login_lead(&self, tpp: &str) -> String;
    fn login_label(&self) -> &'static str;
    fn login_hint(&self) -> &'static str;
    fn login_next(&self) -> &'static str;
    fn login_problem(&self, problem: LoginProblem) -> String;

    fn code_title(&self) -> &'static str;
    fn code_lead(&self, phone: &str) -> String;
    fn code_label(&self) -> &'static str;
    fn code_hint(&self) -> &'static str;
    fn code_next(&self) -> &'static str;
    fn code_problem(&self, problem: CodeProblem) -> String;

    fn consent_title(&self, tpp: &str) -> String;
    fn consent_lead(&self, tpp: &str, bank: &str) -> String;
    fn may_title(&self, tpp: &str) -> String;
    fn may(&self, scope: ConsentScope) -> &'static [&'static str];
    fn never_title(&self, tpp: &str) -> String;
    fn never(&self, scope: ConsentScope) -> &'static [&'static str];
    fn accounts_title(&self) -> &'static str;
    fn accounts_hint(&self) -> &'static str;
    fn term_title(&self) -> &'static str;
    fn term(&self, days: u32, until: &str) -> String;
    fn end_title(&self) -> &'static str;
    fn end(&self, tpp: &str) -> String;
    /// What the customer may ask of the bank afterwards.
    fn right(&self, scope: ConsentScope, tpp: &str) -> String;
    fn law(&self, scope: ConsentScope) -> &'static str;
    fn accept(&self) -> &'static str;
    fn refuse(&self) -> &'static str;
    fn after(&self, tpp: &str) -> String;
    fn none_chosen(&self) -> &'static str;

    fn notice(&self, kind: MessageKind<'_>) -> Notice;
    fn to_do(&self) -> &'static str;
    fn developer(&self) -> &'static str;
    fn back(&self) -> &'static str;
}
