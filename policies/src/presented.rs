//! What a caller presented, as it came: the decision looks at nothing else of a request.

use certs::Identity;

/// One request before its body.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// Who proved possession of which certificate's key.
    pub identity: Option<&'a Identity>,
    /// The server name of the TLS handshake.
    pub sni: Option<&'a str>,
    /// `Host` or `:authority`, as sent.
    pub host: &'a str,
    /// As sent.
    pub method: &'a str,
    /// The raw request target.
    pub target: &'a str,
    /// The value of the one `Authorization` header.
    pub authorization: Option<&'a [u8]>,
    /// Whether the customer is present: the request names the address of their device (STET,
    /// `PSU-IP-Address`; RTS (EU) 2018/389 art. 36(5)).
    pub attended: bool,
}
