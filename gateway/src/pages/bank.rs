//! The pages on which a customer (PSU) logs in to the bank, and consents or refuses, after a TPP
//! sent them here (RFC 6749 §4.1; PSD2, articles 64, 65, 67 and 97). Views only: what they show is
//! given, what they send is somebody else's to judge.
//!
//! Every form posts `csrf`, `lang` and the pressed button's `step` to [`Form::action`]. The views
//! hold names and IBANs, therefore none of them is `Debug`.

use askama::Template;
use reqwest::Url;

use super::language::Language;
use super::style::STYLE_PATH;
use super::texts::{Notice, Texts};

/// What the pages with a form have in common.
#[derive(Clone, Copy)]
pub struct Form<'a> {
    /// The path, without a query, to which forms are posted and on which the language is switched.
    pub action: &'a str,
    /// Sent back with every form.
    pub csrf: &'a str,
    /// Of the page.
    pub language: Language,
    /// The name of the TPP, as the register has it.
    pub tpp: &'a str,
    /// The name of the codetab's bank.
    pub bank: &'a str,
}

impl<'a> Form<'a> {
    fn frame(&self, step: &'static str) -> Frame<'a> {
        let action = Some(self.action);
        Frame { language: self.language, bank: Some(self.bank), action, step: Some(step) }
    }
}

/// Who are you? Sends `login`, with step `login` or `refuse`.
#[derive(Template)]
#[template(path = "login.html")]
pub struct Login<'a> {
    /// See there.
    pub form: Form<'a>,
    /// What was wrong with the number before.
    pub problem: Option<LoginProblem>,
    /// The number before, or nothing.
    pub login: &'a str,
}

/// Why a customer number leads no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginProblem {
    /// Nobody has it.
    Unknown,
    /// Too many wrong codes.
    Locked {
        /// Until the next try.
        minutes: u32,
    },
}

/// Is it really you? Sends `code`, with step `code` or `refuse`.
#[derive(Template)]
#[template(path = "code.html")]
pub struct Code<'a> {
    /// See there.
    pub form: Form<'a>,
    /// Masked, for example "06 •• •• •• 04".
    pub phone: &'a str,
    /// What was wrong with the code before.
    pub problem: Option<CodeProblem>,
}

/// Why a code leads no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeProblem {
    /// Another one was sent.
    Wrong {
        /// Tries before the login is locked.
        left: u32,
    },
    /// Too old; a new one was sent.
    Expired,
}

/// Do you consent? Sends `account` once for each ticked account, with step `accept` or `refuse`.
#[derive(Template)]
#[template(path = "consent.html")]
pub struct Consent<'a> {
    /// See there.
    pub form: Form<'a>,
    /// To what.
    pub scope: ConsentScope,
    /// Among which they choose.
    pub accounts: &'a [ConsentAccount<'a>],
    /// How long the consent lasts.
    pub days: u32,
    /// Its last day, in words: [`Language::date`].
    pub until: &'a str,
    /// What was wrong with the answer before.
    pub problem: Option<ConsentProblem>,
}

/// What the TPP asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsentScope {
    /// Confirmation of the availability of funds (CBPII; PSD2, article 65).
    Funds,
    /// Account information (AISP; PSD2, article 67).
    Accounts,
}

/// An account that can be ticked. It has no balance: whoever looks over the shoulder needs none.
#[derive(Clone, Copy)]
pub struct ConsentAccount<'a> {
    /// The value that is sent.
    pub number: usize,
    /// The product.
    pub label: &'a str,
    /// Whose it is, as on a statement of account.
    pub holder: &'a str,
    /// Without blanks.
    pub iban: &'a str,
}

impl ConsentAccount<'_> {
    /// In groups of four, as printed on paper (ISO 13616). The blanks may break: 27 characters at
    /// twice the size do not fit a telephone.
    fn printed(&self) -> String {
        let mut printed = String::with_capacity(self.iban.len() * 5 / 4);
        for (place, character) in self.iban.chars().enumerate() {
            if place > 0 && place % 4 == 0 {
                printed.push(' ');
            }
            printed.push(character);
        }
        printed
    }
}

/// Why an answer cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsentProblem {
    /// A consent to nothing.
    NoneChosen,
}

/// A page that ends the visit.
#[derive(Template)]
#[template(path = "message.html")]
pub struct Message<'a> {
    /// Of the page.
    pub language: Language,
    /// What happened.
    pub kind: MessageKind<'a>,
    /// The URL of the TPP to go back to, if it is proven to be the TPP's.
    pub back: Option<&'a str>,
}

/// Why the visit ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind<'a> {
    /// Waited too long.
    TimedOut,
    /// Too many wrong codes.
    Locked {
        /// Until the next try.
        minutes: u32,
    },
    /// Never begun, or already ended.
    RequestUnknown,
    /// What the TPP sent is wrong, and it cannot be told by a redirection (RFC 6749 §4.1.2.1). With
    /// a sentence in English for its developers.
    RequestFaulty(&'a str),
    /// Begun elsewhere.
    BrowserOther,
    /// The customer refused.
    Refused,
    /// Something behind the page does not answer.
    Unavailable,
}

/// What surrounds the content of every page.
struct Frame<'a> {
    language: Language,
    bank: Option<&'a str>,
    /// Where the language is switched; a message cannot be asked for again.
    action: Option<&'a str>,
    step: Option<&'static str>,
}

impl Frame<'_> {
    fn texts(&self) -> &'static dyn Texts {
        self.language.texts()
    }

    fn style(&self) -> &'static str {
        STYLE_PATH
    }
}

impl Login<'_> {
    /// The page.
    #[must_use]
    pub fn render(&self) -> String {
        self.to_string()
    }

    fn frame(&self) -> Frame<'_> {
        self.form.frame("1")
    }

    fn title(&self) -> String {
        self.frame().texts().login_title().to_owned()
    }

    fn problem(&self) -> Option<String> {
        self.problem.map(|problem| self.frame().texts().login_problem(problem))
    }
}

impl Code<'_> {
    /// The page.
    #[must_use]
    pub fn render(&self) -> String {
        self.to_string()
    }

    fn frame(&self) -> Frame<'_> {
        self.form.frame("2")
    }

    fn title(&self) -> String {
        self.frame().texts().code_title().to_owned()
    }

    fn problem(&self) -> Option<String> {
        self.problem.map(|problem| self.frame().texts().code_problem(problem))
    }
}

impl Consent<'_> {
    /// The page.
    #[must_use]
    pub fn render(&self) -> String {
        self.to_string()
    }

    fn frame(&self) -> Frame<'_> {
        self.form.frame("3")
    }

    fn title(&self) -> String {
        self.frame().texts().consent_title(self.form.tpp)
    }

    fn term(&self) -> String {
        self.frame().texts().term(self.days, self.until)
    }

    fn problem(&self) -> Option<String> {
        self.problem.map(|ConsentProblem::NoneChosen| self.frame().texts().none_chosen().to_owned())
    }

    /// The first account that can be ticked: where the link of a problem leads.
    fn first(&self) -> usize {
        self.accounts.first().map_or(0, |account| account.number)
    }
}

impl Message<'_> {
    /// The page.
    #[must_use]
    pub fn render(&self) -> String {
        self.to_string()
    }

    fn frame(&self) -> Frame<'_> {
        Frame { language: self.language, bank: None, action: None, step: None }
    }

    fn title(&self) -> String {
        self.notice().title.to_owned()
    }

    fn problem(&self) -> Option<String> {
        None
    }

    fn notice(&self) -> Notice {
        self.language.texts().notice(self.kind)
    }

    fn detail(&self) -> Option<&str> {
        match self.kind {
            MessageKind::RequestFaulty(detail) => Some(detail),
            _ => None,
        }
    }

    /// Only to the web: escaping does not disarm `javascript:`. Never from a faulty request: that
    /// page is shown because the way back is not proven.
    fn link(&self) -> Option<&str> {
        let proven = self.back.filter(|_| self.detail().is_none())?;
        let url = Url::parse(proven).ok()?;
        matches!(url.scheme(), "http" | "https").then_some(proven)
    }
}

#[cfg(test)]
mod tests;
