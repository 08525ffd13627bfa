//! The members of a line, read without building anything: what an index and a filter look at in each
//! of millions of lines.

use memchr::memchr2;

/// The top-level members of the JSON object `line`, in order: the name without its quotes and the value
/// as it stands, with quotes where it is a text. Ends early, and [`Members::is_broken`], where `line` is
/// no object as the gateway writes them (without white space between members).
#[must_use]
pub fn members(line: &[u8]) -> Members<'_> {
    match line.strip_prefix(b"{") {
        Some(rest) => Members { rest, first: true, broken: false },
        None => Members { rest: b"", first: false, broken: true },
    }
}

/// See [`members`].
#[derive(Clone, Debug)]
pub struct Members<'a> {
    rest: &'a [u8],
    first: bool,
    broken: bool,
}

impl Members<'_> {
    /// What was read is not a line that the gateway wrote.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        self.broken
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.broken || self.rest.is_empty() || self.rest == b"}" {
            self.broken |= self.rest.is_empty();
            return None;
        }
        let member = self.member();
        self.broken = member.is_none();
        self.first = false;
        member
    }
}

impl<'a> Members<'a> {
    fn member(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let rest = match self.first {
            true => self.rest,
            false => self.rest.strip_prefix(b",")?,
        };
        let name = text(rest)?;
        let rest = rest.get(name.len()..)?.strip_prefix(b":")?;
        let value = value(rest)?;
        self.rest = rest.get(value.len()..)?;
        Some((name.get(1..name.len() - 1)?, value))
    }
}

/// The text with its quotes that `rest` begins with.
fn text(rest: &[u8]) -> Option<&[u8]> {
    let mut at = 1;
    rest.first().filter(|first| **first == b'"')?;
    loop {
        at += memchr2(b'"', b'\\', rest.get(at..)?)?;
        match rest.get(at)? {
            b'"' => return rest.get(..=at),
            _ => at += 2,
        }
    }
}

/// The value that `rest` begins with.
fn value(rest: &[u8]) -> Option<&[u8]> {
    match rest.first()? {
        b'"' => text(rest),
        b'{' | b'[' => {
            let (mut depth, mut at) = (0_usize, 0);
            loop {
                match rest.get(at)? {
                    b'"' => at += text(rest.get(at..)?)?.len(),
                    b'{' | b'[' => (depth, at) = (depth + 1, at + 1),
                    b'}' | b']' => {
                        (depth, at) = (depth - 1, at + 1);
                        if depth == 0 {
                            return rest.get(..at);
                        }
                    }
                    _ => at += 1,
                }
            }
        }
        _ => {
            let end = rest.iter().position(|byte| matches!(byte, b',' | b'}'))?;
            rest.get(..end).filter(|value| !value.is_empty())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(line: &str) -> (Vec<(String, String)>, bool) {
        let mut members = members(line.as_bytes());
        let owned = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let all = members.by_ref().map(|(name, value)| (owned(name), owned(value))).collect();
        (all, members.is_broken())
    }

    #[test]
    fn members_are_read_as_they_stand() {
        let (all, broken) =
            read(r#"{"a":"x\"},{","b":17,"c":{"d":["}",{"e":null}]},"f":true,"g":[]}"#);
        let expected = [
            ("a", r#""x\"},{""#),
            ("b", "17"),
            ("c", r#"{"d":["}",{"e":null}]}"#),
            ("f", "true"),
            ("g", "[]"),
        ];
        let all: Vec<_> = all.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!((all.as_slice(), broken), (expected.as_slice(), false));
        assert_eq!(read("{}"), (Vec::new(), false));
    }

    #[test]
    fn what_is_no_line_of_ours_is_told() {
        for line in ["", "{", "[]", "{\"a\"", "{\"a\":1", "{\"a\" :1}", "{\"a\":[1}", "{\"a\":1}x"]
        {
            assert!(read(line).1, "{line}");
        }
    }

    proptest! {
        #[test]
        fn foreign_octets_do_no_harm(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut read = members(&line);
            let sum: usize = read.by_ref().map(|(name, value)| name.len() + value.len()).sum();
            prop_assert!(sum <= line.len());
        }

        #[test]
        fn whatever_serde_writes_is_read_back(
            values in proptest::collection::vec((".{0,8}", ".{0,20}", any::<u32>()), 0..6)
        ) {
            let mut object = serde_json::Map::new();
            for (at, (name, text, number)) in values.iter().enumerate() {
                let value = match at % 3 {
                    0 => serde_json::json!(text),
                    1 => serde_json::json!(number),
                    _ => serde_json::json!({ "in": [text, number] }),
                };
                object.insert(name.clone(), value);
            }
            let line = serde_json::to_vec(&object).unwrap();
            let mut read = members(&line);
            let mut seen = serde_json::Map::new();
            for (name, value) in read.by_ref() {
                let quoted = [b"\"", name, b"\""].concat();
                let name: String = serde_json::from_slice(&quoted).unwrap();
                seen.insert(name, serde_json::from_slice(value).unwrap());
            }
            prop_assert!(!read.is_broken());
            prop_assert_eq!(seen, object);
        }
    }
}
