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

#[cfg(test)]
mod tests {
    use super::{Problem, quoted};

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
