//! The pages in English.

use super::{CodeProblem, ConsentScope, LoginProblem, MessageKind, Notice, Texts};

pub(super) struct English;

/// "1 minute", "5 minutes".
fn count(number: u32, one: &str, many: &str) -> String {
    format!("{number}\u{a0}{}", if number == 1 { one } else { many })
}

impl Texts for English {
    fn name(&self) -> &'static str {
        "English"
    }
    fn bank(&self) -> &'static str {
        "Sandbox Bank"
    }
    fn sandbox(&self) -> &'static str {
        "Sandbox:"
    }
    fn sandbox_detail(&self) -> &'static str {
        "fictional people, no real money."
    }
    fn languages(&self) -> &'static str {
        "Language"
    }
    fn footer(&self) -> &'static str {
        "Sandbox Bank is a fictional bank. Never type the credentials of your real bank here."
    }
    fn error(&self) -> &'static str {
        "Error: "
    }
    fn step(&self, number: &str) -> String {
        format!("Step {number} of\u{a0}3")
    }
    fn leave(&self, tpp: &str) -> String {
        format!("Refuse and go back to {tpp}")
    }

    fn login_title(&self) -> &'static str {
        "Log in"
    }
    fn login_lead(&self, tpp: &str) -> String {
        format!(
            "{tpp} has sent you here to ask for your consent. You will see to what before you \
             decide. {tpp} sees nothing of what you type on this page."
        )
    }
    fn login_label(&self) -> &'static str {
        "Customer number"
    }
    fn login_hint(&self) -> &'static str {
        "The 10-digit number with which you log in to your bank."
    }
    fn login_next(&self) -> &'static str {
        "Continue"
    }
    fn login_problem(&self, problem: LoginProblem) -> String {
        match problem {
            LoginProblem::Unknown => {
                "We do not know this customer number. Check it, then type it again.".to_owned()
            }
            LoginProblem::Locked { minutes } => format!(
                "This login is locked after several wrong codes. Try again in {}.",
                count(minutes, "minute", "minutes")
            ),
        }
    }

    fn code_title(&self) -> &'static str {
        "Enter the code from the text message"
    }
    fn code_lead(&self, phone: &str) -> String {
        format!("We have just sent a code to {}.", phone.replace(' ', "\u{a0}"))
    }
    fn code_label(&self) -> &'static str {
        "Code from the text message"
    }
    fn code_hint(&self) -> &'static str {
        "Never tell this code to anybody, not even to your bank."
    }
    fn code_next(&self) -> &'static str {
        "Confirm"
    }
    fn code_problem(&self, problem: CodeProblem) -> String {
        match problem {
            CodeProblem::Wrong { left: 0 } => {
                "This code is wrong, and you have no tries left.".to_owned()
            }
            CodeProblem::Wrong { left } => {
                format!("This code is wrong. You have {} left.", count(left, "try", "tries"))
            }
            CodeProblem::Expired => {
                "This code has expired. We have just sent you a new one: enter it below.".to_owned()
            }
        }
    }

    fn consent_title(&self, tpp: &str) -> String {
        format!("{tpp} asks for your consent")
    }
    fn consent_lead(&self, tpp: &str, bank: &str) -> String {
        format!(
            "{tpp} is a provider independent of your bank ({bank}). Without your consent we do not \
             answer it. You are free to refuse."
        )
    }
    fn may_title(&self, tpp: &str) -> String {
        format!("What {tpp} may do")
    }
    fn may(&self, scope: ConsentScope) -> &'static [&'static str] {
        match scope {
            ConsentScope::Funds => &[
                "Ask us whether the amount of a card payment is available on an account that you \
                 choose. We only answer yes or no.",
            ],
            ConsentScope::Accounts => &[
                "See the list of the accounts that you choose, with their names and IBANs.",
                "See the balances of these accounts.",
                "See the transactions of these accounts over the last 90\u{a0}days.",
            ],
        }
    }
    fn never_title(&self, tpp: &str) -> String {
        format!("What {tpp} can never do")
    }
    fn never(&self, scope: ConsentScope) -> &'static [&'static str] {
        match scope {
            ConsentScope::Funds => &[
                "See your balance or your transactions.",
                "Reserve or take money: a question blocks nothing on your account.",
            ],
            ConsentScope::Accounts => {
                &["Pay, transfer or block money.", "See the accounts that you do not choose."]
            }
        }
    }
    fn accounts_title(&self) -> &'static str {
        "For which accounts?"
    }
    fn accounts_hint(&self) -> &'static str {
        "Tick at least one payment account in euros."
    }
    fn term_title(&self) -> &'static str {
        "For how long?"
    }
    fn term(&self, days: u32, until: &str) -> String {
        format!("{}, until {until}.", count(days, "day", "days"))
    }
    fn end_title(&self) -> &'static str {
        "How do I end it?"
    }
    fn end(&self, tpp: &str) -> String {
        format!(
            "You may withdraw your consent at any time, at your bank or at {tpp}, free of charge \
             and without giving a reason."
        )
    }
    fn right(&self, scope: ConsentScope, tpp: &str) -> String {
        match scope {
            ConsentScope::Funds => {
                format!("If you ask us, we tell you what {tpp} asked and what we answered.")
            }
            ConsentScope::Accounts => {
                format!("If you ask us, we tell you when {tpp} consulted your accounts.")
            }
        }
    }
    fn law(&self, scope: ConsentScope) -> &'static str {
        match scope {
            ConsentScope::Funds => {
                "Directive (EU) 2015/2366 on payment services (PSD2), articles\u{a0}64 \
                 and\u{a0}65."
            }
            ConsentScope::Accounts => {
                "Directive (EU) 2015/2366 on payment services (PSD2), articles\u{a0}64 \
                 and\u{a0}67."
            }
        }
    }
    fn accept(&self) -> &'static str {
        "I accept"
    }
    fn refuse(&self) -> &'static str {
        "I refuse"
    }
    fn after(&self, tpp: &str) -> String {
        format!("Either way, you then go back to {tpp}.")
    }
    fn none_chosen(&self) -> &'static str {
        "You have chosen no account. Tick at least one, or refuse."
    }

    fn notice(&self, kind: MessageKind<'_>) -> Notice {
        let (title, happened, to_do) = match kind {
            MessageKind::TimedOut => (
                "Time is up",
                "For your safety we have ended this request: it waited too long for an answer. No \
                 consent was given.",
                "Go back to your provider and start again.",
            ),
            MessageKind::Locked { minutes } => {
                return Notice {
                    title: "Your login is locked",
                    happened: format!(
                        "Several wrong codes were entered. For your safety we lock this login for \
                         {}. No consent was given.",
                        count(minutes, "minute", "minutes")
                    ),
                    to_do: "Wait, then start again at your provider. If it was not you, tell \
                            your bank.",
                };
            }
            MessageKind::RequestUnknown => (
                "This request no longer exists",
                "This page belongs to a request that has already ended, or that we do not know.",
                "Go back to your provider and start again. Do not come here by a bookmark or the \
                 browser’s Back button.",
            ),
            MessageKind::RequestFaulty(_) => (
                "There is an error in this request",
                "The provider that sent you here made a request that we cannot process. It is not \
                 your fault, and nothing was disclosed to it.",
                "Close this page and tell your provider about the error.",
            ),
            MessageKind::BrowserOther => (
                "Go on in the first browser",
                "This request was begun in another browser or on another device, or your browser \
                 refuses this page’s cookies. For your safety it cannot go on here.",
                "Go back to the browser where you began, or start again at your provider.",
            ),
            MessageKind::Refused => (
                "You have refused",
                "No consent was given. We will answer none of this provider’s questions about \
                 your accounts because of this request.",
                "You may close this page, or go back to your provider.",
            ),
            MessageKind::Unavailable => (
                "Service unavailable for the moment",
                "We cannot process this request for the moment. No consent was given.",
                "Try again in a few minutes, starting at your provider.",
            ),
        };
        Notice { title, happened: happened.to_owned(), to_do }
    }
    fn to_do(&self) -> &'static str {
        "What can I do?"
    }
    fn developer(&self) -> &'static str {
        "For the provider’s developers"
    }
    fn back(&self) -> &'static str {
        "Go back to the provider"
    }
}
