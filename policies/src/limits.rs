//! Bounds of what is read and decided.

/// A stored token record, bytes.
pub const TOKEN_RECORD_BYTES_MAX: usize = 8 * 1024;
/// A text member of a token record, bytes.
pub const TOKEN_TEXT_BYTES_MAX: usize = 256;
/// How far two clocks may differ, seconds.
pub const CLOCK_SKEW_SECONDS_MAX: i64 = 60;
/// A host name, bytes (RFC 1035 §2.3.4).
pub const HOST_BYTES_MAX: usize = 253;
/// A funds-confirmation body, bytes. STET's longest request is a tenth of it.
pub const FUNDS_REQUEST_BYTES_MAX: usize = 16 * 1024;
/// Limits that one API may be counted by.
pub const QUOTAS_PER_API_MAX: usize = 8;
/// Requests of a limit whose every request is remembered.
pub const WINDOW_REQUESTS_MAX: u32 = 100;
/// Rejected register rows that are kept with their reason; the rest is only counted.
pub const REJECTED_ROWS_KEPT_MAX: usize = 1000;
/// A record of the authorization server other than a token or a client, bytes.
pub const LEDGER_RECORD_BYTES_MAX: usize = 32 * 1024;
/// A stored client record, bytes.
pub const CLIENT_RECORD_BYTES_MAX: usize = 64 * 1024;
/// A client id, bytes: it stands in token records too.
pub const CLIENT_ID_BYTES_MAX: usize = TOKEN_TEXT_BYTES_MAX;
/// A client id that is handed out here, bytes.
pub const NEW_CLIENT_ID_BYTES_MAX: usize = 100;
/// A client's name, characters: it is shown to customers on one line.
pub const CLIENT_NAME_CHARACTERS_MAX: usize = 70;
/// A client's description, characters.
pub const CLIENT_DESCRIPTION_CHARACTERS_MAX: usize = 1000;
/// Any other text of a client, characters.
pub const CLIENT_TEXT_CHARACTERS_MAX: usize = 140;
/// A redirect URI or another URI of a client, bytes.
pub const REDIRECT_URI_BYTES_MAX: usize = 2048;
/// Redirect URIs of one client.
pub const REDIRECT_URIS_MAX: usize = 16;
/// Certificates of one client.
pub const CLIENT_CERTIFICATES_MAX: usize = 16;
/// The CAs that one certificate is enrolled with.
pub const CLIENT_CHAIN_CERTIFICATES_MAX: usize = 4;
/// The id of a key, bytes.
pub const KEY_ID_BYTES_MAX: usize = 512;
/// The body of a registration, bytes: a record and the logo, which is not kept.
pub const REGISTRATION_BYTES_MAX: usize = 128 * 1024;
/// Nesting of a registration's JSON; `jwks.keys[0].x5c[0]` is the fifth level.
pub const REGISTRATION_DEPTH_MAX: usize = 8;
/// The text of a registration's logo, bytes.
pub const LOGO_BYTES_MAX: usize = 64 * 1024;
/// Members of a registration that are named as ignored; more are not named.
pub const IGNORED_MEMBERS_MAX: usize = 32;

const _: () = assert!(NEW_CLIENT_ID_BYTES_MAX <= CLIENT_ID_BYTES_MAX);
const _: () = assert!(CLIENT_RECORD_BYTES_MAX + LOGO_BYTES_MAX <= REGISTRATION_BYTES_MAX);
