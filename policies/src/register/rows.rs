//! The rows of a JSON document that is larger than memory should be: one value at a time.
//!
//! `serde_json` reads from slices several times faster than from readers, and a register has hundreds
//! of megabytes. So the document goes through one buffer, and only what stands between the rows
//! (brackets, commas) is looked at here; every value is `serde_json`'s to judge.

use std::io::Read;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::RegisterError;

/// What is read at a time.
const CHUNK_BYTES: usize = 256 * 1024;
/// One row, at most. The longest real ones, with services in thirty countries, have a hundredth.
const ROW_BYTES_MAX: usize = 1024 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A document of the shape `[[disclaimer, …], [row, …]]` or `[row, …]`.
pub(super) struct Rows<R> {
    file: String,
    reader: R,
    buffer: Vec<u8>,
    /// Where the next value begins in the buffer.
    at: usize,
    /// Octets before the buffer.
    before: u64,
    ended: bool,
    /// Rows given so far.
    rows: usize,
    nested: bool,
}

impl<R: Read> Rows<R> {
    /// Opens the document and finds its first row.
    pub(super) fn open(file: &str, reader: R) -> Result<Self, RegisterError> {
        let mut rows = Self {
            file: file.to_owned(),
            reader,
            buffer: Vec::with_capacity(CHUNK_BYTES),
            at: 0,
            before: 0,
            ended: false,
            rows: 0,
            nested: false,
        };
        rows.fill()?;
        if rows.buffer.starts_with(BYTE_ORDER_MARK) {
            rows.at = BYTE_ORDER_MARK.len();
        }
        rows.expect(b'[')?;
        if rows.peek()? == Some(b'[') {
            rows.nested = true;
            let disclaimer = rows.value()?;
            let _: Vec<IgnoredAny> = rows.parse(disclaimer)?;
            rows.expect(b',')?;
            rows.expect(b'[')?;
        }
        Ok(rows)
    }

    /// The next row as it is written, or none after the last, when nothing else follows.
    pub(super) fn next(&mut self) -> Result<Option<&str>, RegisterError> {
        match (self.peek()?, self.rows) {
            (Some(b']'), _) => {
                self.at += 1;
                if self.nested {
                    self.expect(b']')?;
                }
                return match self.peek()? {
                    None => Ok(None),
                    Some(_) => Err(self.malformed("something follows its end")),
                };
            }
            (Some(b','), 1..) => {
                self.at += 1;
            }
            (Some(_), 0) => {}
            (Some(_), _) => return Err(self.malformed("a comma or the end of the list is missing")),
            (None, _) => return Err(self.malformed("it ends in the middle: it is cut")),
        }
        let range = self.value()?;
        self.rows += 1;
        let text = self.buffer.get(range).unwrap_or_default();
        // serde_json has read it as text.
        Ok(Some(std::str::from_utf8(text).unwrap_or_default()))
    }

    fn expect(&mut self, octet: u8) -> Result<(), RegisterError> {
        if self.peek()? == Some(octet) {
            self.at += 1;
            return Ok(());
        }
        Err(self.malformed("[[disclaimer], [entities]] is expected"))
    }

    /// The next octet that is no white space.
    fn peek(&mut self) -> Result<Option<u8>, RegisterError> {
        loop {
            while let Some(octet) = self.buffer.get(self.at) {
                match octet {
                    b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                    other => return Ok(Some(*other)),
                }
            }
            if self.ended {
                return Ok(None);
            }
            self.fill()?;
        }
    }

    /// Where the value that begins here stands in the buffer; what comes next is behind it.
    fn value(&mut self) -> Result<std::ops::Range<usize>, RegisterError> {
        self.peek()?;
        loop {
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<&RawValue>();
            match values.next() {
                Some(Ok(_)) => {
                    let begin = self.at;
                    self.at += values.byte_offset();
                    return Ok(begin..self.at);
                }
                Some(Err(error)) if error.is_eof() && !self.ended => {
                    if rest.len() > ROW_BYTES_MAX {
                        return Err(self.malformed("a row has more than a megabyte"));
                    }
                    self.fill()?;
                }
                Some(Err(error)) if error.is_eof() => {
                    return Err(self.malformed("it ends in the middle: it is cut"));
                }
                Some(Err(error)) => {
                    let why = without_place(&error);
                    return Err(self.malformed(&why));
                }
                None => return Err(self.malformed("a value is missing")),
            }
        }
    }

    fn parse<'b, T: serde::Deserialize<'b>>(
        &'b self,
        range: std::ops::Range<usize>,
    ) -> Result<T, RegisterError> {
        serde_json::from_slice(self.buffer.get(range).unwrap_or_default())
            .map_err(|error| self.malformed(&without_place(&error)))
    }

    fn fill(&mut self) -> Result<(), RegisterError> {
        self.buffer.drain(..self.at);
        self.before += self.at as u64;
        self.at = 0;
        let room = u64::try_from(CHUNK_BYTES).unwrap_or(u64::MAX);
        let read = self.reader.by_ref().take(room).read_to_end(&mut self.buffer);
        let read = read.map_err(|error| RegisterError::Unreadable {
            file: self.file.clone(),
            why: error.to_string(),
        })?;
        self.ended = read == 0;
        Ok(())
    }

    fn malformed(&self, why: &str) -> RegisterError {
        RegisterError::Json {
            file: self.file.clone(),
            octet: self.before + self.at as u64,
            row: self.rows,
            why: why.to_owned(),
        }
    }
}

/// What is wrong, without the line and column of a slice that nobody knows.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one octet at a time, as the worst network would.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            match (self.0.split_first(), into.first_mut()) {
                (Some((octet, rest)), Some(place)) => {
                    *place = *octet;
                    self.0 = rest;
                    Ok(1)
                }
                _ => Ok(0),
            }
        }
    }

    fn all(reader: impl Read) -> Result<Vec<String>, RegisterError> {
        let mut rows = Rows::open("x", reader)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(row.to_owned());
        }
        Ok(all)
    }

    #[test]
    fn both_shapes_are_read_however_the_octets_come() {
        for text in [
            r#"[[{"disclaimer":"x"}],[{"a":1},{"b":"]"}]]"#,
            "\u{feff} [ [ ] , [ {\"a\":1} ,\n{\"b\":\"]\"} ] ]\n",
            r#"[{"a":1},{"b":"]"}]"#,
        ] {
            let expected = [r#"{"a":1}"#, r#"{"b":"]"}"#];
            assert_eq!(all(text.as_bytes()).unwrap(), expected);
            assert_eq!(all(Trickle(text.as_bytes())).unwrap(), expected);
        }
        assert!(all(&b"[]"[..]).unwrap().is_empty());
        assert!(all(&b"[[],[]]"[..]).unwrap().is_empty());
    }

    #[test]
    fn every_cut_and_every_addition_is_refused() {
        let text = r#"[[{"disclaimer":"x"}],[{"a":1},{"b":2}]]"#;
        for cut in 0..text.len() {
            assert!(all(&text.as_bytes()[..cut]).is_err(), "{}", &text[..cut]);
        }
        for more in ["]", "x", "[]", ",{}"] {
            assert!(all(format!("{text}{more}").as_bytes()).is_err(), "{more}");
        }
        for other in ["{}", "<html>", "null", "[[],{}]", "[[]]", "[{} {}]", "[,{}]", "[{},]"] {
            assert!(all(other.as_bytes()).is_err(), "{other}");
        }
    }

    #[test]
    fn a_row_without_end_and_one_without_bottom_are_refused_within_bounds() {
        let endless = std::io::repeat(b'x');
        let begun = b"[[],[{\"a\":\"".chain(endless);
        let error = all(begun).unwrap_err().to_string();
        assert!(error.contains("more than a megabyte"), "{error}");
        let deep = b"[[],[".chain(std::io::repeat(b'[').take(900_000));
        assert!(all(deep).is_err());
    }
}
