//! A document as a tree, within bounds. No document type, so no entities and nothing external.

use std::borrow::Cow;
use std::collections::HashSet;

use quick_xml::events::attributes::AttrError;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::{NsReader, XmlVersion};

use super::TrustedListError;
use crate::limits::{
    LIST_ATTRIBUTES_MAX, LIST_BYTES_MAX, LIST_DEPTH_MAX, LIST_ELEMENTS_MAX, LIST_NAMESPACES_MAX,
};

/// The namespaces that are told apart; elements of others are kept, and found by nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Namespace {
    /// ETSI TS 119 612.
    List,
    /// Its additional types.
    ListTypes,
    /// Its service information extensions.
    Extensions,
    /// XML Signature.
    Signature,
    Other,
}

impl Namespace {
    fn of(result: &ResolveResult<'_>) -> Self {
        let ResolveResult::Bound(namespace) = result else { return Self::Other };
        match namespace.as_ref() {
            "http://uri.etsi.org/02231/v2#" => Self::List,
            "http://uri.etsi.org/02231/v2/additionaltypes#" => Self::ListTypes,
            "http://uri.etsi.org/TrstSvc/SvcInfoExt/eSigDir-1999-93-EC-TrustedList/#" => {
                Self::Extensions
            }
            "http://www.w3.org/2000/09/xmldsig#" => Self::Signature,
            _ => Self::Other,
        }
    }
}

/// One element.
#[derive(Clone, Debug)]
pub(super) struct Element {
    pub(super) namespace: Namespace,
    pub(super) name: Box<str>,
    /// Names with their prefix, namespace declarations left out.
    pub(super) attributes: Vec<(Box<str>, Box<str>)>,
    /// All character data directly in it, put together.
    pub(super) text: String,
    pub(super) children: Vec<Element>,
}

impl Element {
    pub(super) fn is(&self, namespace: Namespace, name: &str) -> bool {
        self.namespace == namespace && &*self.name == name
    }

    pub(super) fn all<'a>(
        &'a self,
        namespace: Namespace,
        name: &'a str,
    ) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.is(namespace, name))
    }

    /// The only child of this name.
    pub(super) fn only(&self, namespace: Namespace, name: &str) -> Option<&Self> {
        let mut found = self.children.iter().filter(|child| child.is(namespace, name));
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// The only descendant on a way of only children, all of the list's namespace.
    pub(super) fn at(&self, way: &[&str]) -> Option<&Self> {
        way.iter().try_fold(self, |element: &Self, name| element.only(Namespace::List, name))
    }

    pub(super) fn trimmed(&self) -> &str {
        self.text.trim_matches([' ', '\t', '\r', '\n'])
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| &**known == name);
        found.map(|(_, value)| &**value)
    }

    /// This element and everything below it.
    pub(super) fn every(&self) -> Vec<&Self> {
        let mut found = vec![self];
        let mut at = 0;
        while let Some(element) = found.get(at).copied() {
            found.extend(&element.children);
            at += 1;
        }
        found
    }
}

pub(super) fn document(xml: &[u8]) -> Result<Element, TrustedListError> {
    if xml.len() > LIST_BYTES_MAX {
        return Err(TrustedListError::TooLong { bytes: xml.len() });
    }
    let text = std::str::from_utf8(xml).map_err(|_| TrustedListError::Encoding)?;
    let mut reader = NsReader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    reader.config_mut().expand_empty_elements = true;
    let mut tree = Tree::default();
    loop {
        let position = reader.buffer_position();
        let broken = |why: String| TrustedListError::NotWellFormed { position, why };
        let (namespace, event) =
            reader.read_resolved_event().map_err(|error| broken(error.to_string()))?;
        match event {
            Event::Start(start) => {
                if let ResolveResult::Bound(namespace) = &namespace {
                    tree.used(namespace.as_ref());
                }
                tree.open(Namespace::of(&namespace), &start, position)?;
            }
            Event::End(_) => tree.close().map_err(broken)?,
            Event::Text(text) => {
                tree.text(&text.xml10_content()).map_err(broken)?;
            }
            Event::CData(data) => {
                tree.text(&data.xml10_content()).map_err(broken)?;
            }
            Event::GeneralRef(reference) => {
                let entity = TrustedListError::Entity { position };
                let number = reference.resolve_char_ref().map_err(|e| broken(e.to_string()))?;
                let character = number.or_else(|| predefined(&reference)).ok_or(entity)?;
                tree.text(character.encode_utf8(&mut [0; 4])).map_err(broken)?;
            }
            Event::Decl(declaration) => {
                let is = |value: Option<Result<Cow<'_, str>, AttrError>>, known: [&str; 2]| {
                    value.is_none_or(|value| value.is_ok_and(|value| known.contains(&&*value)))
                };
                if !is(declaration.encoding(), ["UTF-8", "utf-8"]) {
                    return Err(TrustedListError::Encoding);
                }
                let one = declaration.version().is_ok_and(|version| version == "1.0");
                if !one || !is(declaration.standalone(), ["yes", "no"]) {
                    return Err(broken("its declaration is not of XML 1.0".to_owned()));
                }
            }
            Event::DocType(_) => return Err(TrustedListError::DocumentType { position }),
            // The canonical form leaves comments out: nobody would have signed them.
            Event::Comment(_) => return Err(broken("it has a comment".to_owned())),
            Event::PI(_) => return Err(broken("it has a processing instruction".to_owned())),
            Event::Empty(_) => return Err(broken("an element was not expanded".to_owned())),
            Event::Eof => return tree.finish().map_err(broken),
        }
    }
}

fn predefined(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}

#[derive(Default)]
struct Tree {
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
    namespaces: usize,
    declared: HashSet<String>,
    used: HashSet<String>,
}

/// Namespaces that lists declare whether they use them or not.
const USUAL: [&str; 9] = [
    "http://uri.etsi.org/02231/v2#",
    "http://uri.etsi.org/02231/v2/additionaltypes#",
    "http://uri.etsi.org/TrstSvc/SvcInfoExt/eSigDir-1999-93-EC-TrustedList/#",
    "http://uri.etsi.org/01903/v1.3.2#",
    "http://uri.etsi.org/01903/v1.4.1#",
    "http://uri.etsi.org/02231/v2/tsl_v6#",
    "http://www.w3.org/2000/09/xmldsig#",
    "http://www.w3.org/2001/XMLSchema-instance",
    "http://www.w3.org/2001/XMLSchema",
];

impl Tree {
    fn used(&mut self, namespace: &str) {
        if !self.used.contains(namespace) {
            self.used.insert(namespace.to_owned());
        }
    }

    fn open(
        &mut self,
        namespace: Namespace,
        start: &BytesStart<'_>,
        position: u64,
    ) -> Result<(), TrustedListError> {
        self.elements += 1;
        if self.elements > LIST_ELEMENTS_MAX || self.open.len() >= LIST_DEPTH_MAX {
            return Err(TrustedListError::TooMuch);
        }
        let broken = |why: String| TrustedListError::NotWellFormed { position, why };
        let mut attributes = Vec::new();
        // The check for an attribute that stands twice takes the square of their number.
        if start.attributes().with_checks(false).nth(LIST_ATTRIBUTES_MAX).is_some() {
            return Err(TrustedListError::TooMuch);
        }
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| broken(error.to_string()))?;
            if attribute.key.as_namespace_binding().is_some() {
                self.namespaces += 1;
                if self.namespaces > LIST_NAMESPACES_MAX {
                    return Err(TrustedListError::TooMuch);
                }
                if !self.declared.contains(&*attribute.value) {
                    self.declared.insert(attribute.value.clone().into_owned());
                }
                continue;
            }
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|_| TrustedListError::Entity { position })?;
            let name: &str = attribute.key.into_inner();
            attributes.push((name.into(), value.into()));
        }
        let name = start.local_name().into_inner().into();
        let element =
            Element { namespace, name, attributes, text: String::new(), children: Vec::new() };
        if self.open.is_empty() && self.root.is_some() {
            return Err(broken("a second root".to_owned()));
        }
        self.open.push(element);
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        let element = self.open.pop().ok_or("an end without a start")?;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), String> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err("text outside the root".to_owned()),
        }
        Ok(())
    }

    fn finish(self) -> Result<Element, String> {
        // The exclusive canonical form leaves out what is declared and not used.
        let stray = |name: &&String| !self.used.contains(*name) && !USUAL.contains(&name.as_str());
        if self.declared.iter().any(|name| stray(&name)) {
            return Err("it declares a namespace that it does not use".to_owned());
        }
        if self.open.is_empty() {
            self.root.ok_or_else(|| "no element at all".to_owned())
        } else {
            Err("it ends within an element".to_owned())
        }
    }
}
