//! Pingora's request head, read once into what the decision looks at.

use std::net::IpAddr;

use certs::http_signature::HttpRequest;
use http::header::{AUTHORIZATION, HOST};
use pingora::http::RequestHeader;
use policies::{Lane, Reason, Refusal};

use crate::listen::head::{self, HeadBounds, HeadFault};

/// The parts of a request head that decide, as sent.
#[derive(Clone, Copy)]
pub(super) struct Head<'a> {
    pub method: &'a str,
    pub target: &'a str,
    pub host: &'a str,
    pub authorization: Option<&'a [u8]>,
}

impl<'a> Head<'a> {
    /// Reads the head. HTTP/1.1 heads have passed the framing gate as bytes; those of HTTP/2 come
    /// from its frames and are held to the same rules here.
    ///
    /// # Errors
    /// `request_malformed`, with what is wrong.
    pub(super) fn read(
        header: &'a RequestHeader,
        http2: bool,
        bounds: HeadBounds,
    ) -> Result<Self, Refusal> {
        let malformed =
            |fault: HeadFault| Refusal::because(Reason::RequestMalformed, fault.to_string());
        let target = std::str::from_utf8(header.raw_path())
            .map_err(|_| malformed(HeadFault::TargetBytes))?;
        let host_field = header.headers.get(HOST).map(|host| host.to_str().unwrap_or_default());
        let host = if http2 {
            let fields =
                header.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
            within(header, bounds)
                .and_then(|()| head::method(header.method.as_str()))
                .and_then(|()| head::target(target))
                .and_then(|()| head::fields(fields, false))
                .map_err(malformed)?;
            let authority = header.uri.authority().map(http::uri::Authority::as_str);
            match (authority, host_field) {
                (Some(authority), Some(host)) if authority != host => None,
                (authority, host) => authority.or(host),
            }
        } else {
            host_field
        };
        Ok(Self {
            method: header.method.as_str(),
            target,
            host: host.filter(|host| !host.is_empty()).ok_or_else(|| malformed(HeadFault::Host))?,
            authorization: header.headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes),
        })
    }
}

/// Whether the customer is present: one `PSU-IP-Address` that is an address (STET PSD2 part 2).
pub(super) fn is_attended(header: &RequestHeader) -> bool {
    let mut values = header.headers.get_all("psu-ip-address").iter();
    let (Some(address), None) = (values.next(), values.next()) else { return false };
    address.to_str().is_ok_and(|address| address.trim().parse::<IpAddr>().is_ok())
}

/// What the request says under the name that asks for the fallback; the framing gate has seen to it that
/// it says so once.
pub(super) fn fallback(header: &RequestHeader) -> Option<&[u8]> {
    header.headers.get(Lane::HEADER).map(http::HeaderValue::as_bytes)
}

/// The whole request, as its signature is verified over.
pub(super) fn signed<'a>(
    header: &'a RequestHeader,
    authority: &'a str,
    body: &'a [u8],
) -> HttpRequest<'a> {
    let fields = header.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    HttpRequest {
        method: header.method.as_str(),
        target: std::str::from_utf8(header.raw_path()).unwrap_or_default(),
        authority,
        fields: fields.collect(),
        body,
    }
}

/// The bounds that the framing gate holds HTTP/1.1 to, for a head that came in frames.
fn within(header: &RequestHeader, bounds: HeadBounds) -> Result<(), HeadFault> {
    if header.uri.scheme().is_some_and(|scheme| *scheme != http::uri::Scheme::HTTPS) {
        return Err(HeadFault::Scheme);
    }
    if header.headers.len() > bounds.fields_max {
        return Err(HeadFault::TooManyFields);
    }
    let fields = header.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    if header.raw_path().len() + fields.sum::<usize>() > bounds.bytes_max {
        return Err(HeadFault::TooLarge);
    }
    Ok(())
}
