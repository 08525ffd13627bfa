//! Every bound of this crate, unit last. Foreign bytes are measured against these before any work
//! is spent on them, so that a hostile certificate costs a length comparison.

/// Longest organisation identifier that is kept. X.520 gives `organizationIdentifier` no upper
/// bound; real ones stay under 64 octets.
pub const ORGANISATION_ID_BYTES_MAX: usize = 256;

/// Longest certificate that is parsed. The largest QWACs in circulation have under 4 KiB.
pub const LEAF_BYTES_MAX: usize = 16 * 1024;

/// Longest PEM text from which a leaf and its chain are read.
pub const PEM_BYTES_MAX: usize = 256 * 1024;

/// Most extensions in one certificate.
pub const EXTENSIONS_MAX: usize = 64;

/// Most attributes in one distinguished name.
pub const NAME_ATTRIBUTES_MAX: usize = 64;

/// Longest value of the qcStatements extension.
pub const QC_STATEMENTS_BYTES_MAX: usize = 8 * 1024;

/// Most statements in one qcStatements extension (EN 319 412-5 defines nine).
pub const QC_STATEMENTS_MAX: usize = 32;

/// Most roles in one PSD2 statement (TS 119 495 defines nine, a state may register more).
pub const PSD2_ROLES_MAX: usize = 32;

/// `UTF8String (SIZE(1..256))` of TS 119 495 annex A: characters, not octets.
pub const PSD2_TEXT_CHARACTERS_MAX: usize = 256;

/// Most names, URLs or key purposes that are kept from one extension.
pub const NAMES_MAX: usize = 64;

/// Longest URL that is kept from a certificate.
pub const URL_BYTES_MAX: usize = 2 * 1024;

/// Most certificates accepted beside the leaf in one handshake.
pub const SENT_CERTIFICATES_MAX: usize = 16;

/// Most octets accepted beside the leaf in one handshake.
pub const SENT_BYTES_MAX: usize = 128 * 1024;

/// Longest path, leaf and anchor included.
pub const PATH_CERTIFICATES_MAX: usize = 8;

/// Most candidate paths on which signatures are verified for one leaf.
pub const PATH_CANDIDATES_MAX: usize = 16;

/// Most steps of the path search, so that a lattice of cross-signed copies stays cheap.
pub const PATH_STEPS_MAX: usize = 256;

/// Most anchors in one set. All issuing CAs of the EU trusted lists are under 2 000.
pub const ANCHORS_MAX: usize = 4096;

/// Most CAs beside the anchors that complete paths.
pub const INTERMEDIATES_MAX: usize = 1024;

/// Smallest RSA modulus that is accepted (ETSI TS 119 312 §6).
pub const RSA_BITS_MIN: u32 = 2048;

/// Largest RSA modulus that is accepted: verification cost grows with its square.
pub const RSA_BITS_MAX: u32 = 8192;

/// Longest certificate revocation list that is read.
pub const CRL_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Most entries in one certificate revocation list.
pub const CRL_ENTRIES_MAX: usize = 500_000;

/// Longest OCSP response that is read (RFC 6960); real ones stay under 4 KiB.
pub const OCSP_BYTES_MAX: usize = 64 * 1024;

/// How long an OCSP answer counts that names no nextUpdate, and any at most.
pub const OCSP_HOURS_MAX: i64 = 24;

/// How far a responder's clock may be ahead of ours.
pub const CLOCK_SKEW_SECONDS_MAX: i64 = 60;

/// Longest trusted list that is read; the largest national list has about 6 MiB.
pub const LIST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Most elements of a trusted list.
pub const LIST_ELEMENTS_MAX: usize = 400_000;

/// Deepest nesting of a trusted list; real ones have about 15 levels.
pub const LIST_DEPTH_MAX: usize = 64;

/// Most attributes of one element of a trusted list.
pub const LIST_ATTRIBUTES_MAX: usize = 64;

/// Most namespace declarations of a trusted list.
pub const LIST_NAMESPACES_MAX: usize = 20_000;

/// Most services of a trusted list.
pub const LIST_SERVICES_MAX: usize = 10_000;

/// Most pointers of a trusted list.
pub const LIST_POINTERS_MAX: usize = 200;

/// Longest Signature or Signature-Input header that is read.
pub const SIGNATURE_BYTES_MAX: usize = 8 * 1024;

/// Most headers or components that one signature covers.
pub const SIGNATURE_COMPONENTS_MAX: usize = 64;

/// Longest serial number: RFC 5280 §4.1.2.2 allows 20 octets, one more for a leading zero.
pub const SERIAL_BYTES_MAX: usize = 21;

const _: () = assert!(QC_STATEMENTS_BYTES_MAX < LEAF_BYTES_MAX);
const _: () = assert!(LEAF_BYTES_MAX < SENT_BYTES_MAX);
const _: () = assert!(SENT_BYTES_MAX < PEM_BYTES_MAX);
const _: () = assert!(PATH_CANDIDATES_MAX < PATH_STEPS_MAX);
const _: () = assert!(RSA_BITS_MIN < RSA_BITS_MAX);
