//! What is wrong with a configuration: where, why, and how to mend it.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One mistake in a configuration or in a file that it names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The configuration file.
    pub file: PathBuf,
    /// Line in `file`, from 1. `None`: the problem has no place there, such as an environment
    /// variable.
    pub line: Option<usize>,
    /// Column in that line, from 1, counted in characters. Only of syntax errors.
    pub column: Option<usize>,
    /// The key as a path from the root: `listen.tpp.address`, `codetab[2].code`. Empty: the file.
    pub key: String,
    /// What is wrong, with the offending value unless that is a secret.
    pub what: String,
    /// What to write instead.
    pub mend: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if let Some(column) = self.column {
            write!(f, "{column}:")?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        write!(f, " {}. To mend: {}", self.what, self.mend)
    }
}

/// All the mistakes of a configuration, in the order of the file. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigProblems(pub Vec<Problem>);

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

/// A value as it may be shown: quoted, without control characters, and cut.
pub(super) fn quoted(value: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 80;
    match value.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{:?}…", value.get(..end).unwrap_or_default()),
        None => format!("{value:?}"),
    }
}

/// The same without what stands between the scheme and the host of a URL: somebody wrote one with a
/// password where none belongs, and errors go where passwords must not.
pub(super) fn without_passwords(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("://") {
        let end = behind.find(|c: char| c.is_whitespace() || c == '"' || c == '/');
        let authority = behind.get(..end.unwrap_or(behind.len())).unwrap_or_default();
        let hidden = authority.rfind('@').unwrap_or_default();
        shown.push_str(before);
        shown.push_str("://");
        if hidden > 0 {
            shown.push('…');
        }
        rest = behind.get(hidden..).unwrap_or_default();
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::{Problem, quoted, without_passwords};

    #[test]
    fn a_url_in_a_problem_keeps_its_password_to_itself() {
        for (text, shown) in [
            ("is \"redis://u:geheim@h:1/0\": no", "is \"redis://…@h:1/0\": no"),
            ("redis://:p@ss@h:1 cannot be read", "redis://…@h:1 cannot be read"),
            ("https://a.example/x@y and rediss://:b@c", "https://a.example/x@y and rediss://…@c"),
            ("no URL: a@b://", "no URL: a@b://"),
        ] {
            assert_eq!(without_passwords(text), shown);
        }
    }

    #[test]
    fn a_problem_says_where_what_and_how_to_mend_it() {
        let problem = Problem {
            file: "octroi.toml".into(),
            line: Some(12),
            column: None,
            key: "listen.tpp.client_certificate".into(),
            what: "is \"optional\"".into(),
            mend: "write \"required\"".into(),
        };
        assert_eq!(
            problem.to_string(),
            "octroi.toml:12: listen.tpp.client_certificate: is \"optional\". \
             To mend: write \"required\""
        );
    }

    #[test]
    fn a_long_or_hostile_value_is_cut_and_escaped() {
        assert_eq!(quoted("a\x1b[2Jb"), "\"a\\u{1b}[2Jb\"");
        assert_eq!(quoted(&"é".repeat(200)).chars().count(), 83);
    }
}
