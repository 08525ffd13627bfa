//! What the browser may do with the bank's pages: load one style sheet of ours, send a form to us,
//! and nothing else.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use reqwest::Url;

/// The style sheet, `text/css; charset=utf-8`.
pub const STYLE: &str = include_str!("../../templates/bank.css");

/// Where the pages look for [`STYLE`]. It begins with its SHA-256, so that a browser may keep it for
/// ever; a test says what to write here when the sheet changes.
pub const STYLE_PATH: &str = "/bank.caacd174fbedc40d.css";

/// Whatever of the device a page could ask for.
const PERMISSIONS: &str = "accelerometer=(), autoplay=(), camera=(), display-capture=(), \
encrypted-media=(), fullscreen=(), geolocation=(), gyroscope=(), hid=(), idle-detection=(), \
magnetometer=(), microphone=(), midi=(), payment=(), picture-in-picture=(), \
publickey-credentials-get=(), screen-wake-lock=(), serial=(), usb=(), web-share=(), \
xr-spatial-tracking=()";

/// The headers of every page of the bank. `form_target` is the TPP's callback: browsers hold a
/// form's target against the policy on every redirection after it too (CSP Level 3, `form-action`),
/// and the last form ends there. A target that is no plain http or https origin is left out: then
/// the browser stays here.
#[must_use]
pub fn headers(form_target: Option<&str>) -> Vec<(HeaderName, HeaderValue)> {
    const POLICY: &str = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; \
                          base-uri 'none'; form-action 'self'";
    let target = form_target.and_then(origin);
    let policy = target
        .and_then(|origin| HeaderValue::try_from(format!("{POLICY} {origin}")).ok())
        .unwrap_or(HeaderValue::from_static(POLICY));
    let fixed = [
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), PERMISSIONS),
    ];
    let fixed = fixed.map(|(name, value)| (name, HeaderValue::from_static(value)));
    [(CONTENT_SECURITY_POLICY, policy)].into_iter().chain(fixed).collect()
}

/// `scheme://host[:port]` in the characters of CSP's `host-source`. The URL's parser lets `;`, `,`,
/// `'` and `*` stand in a host; here they would begin a directive, a policy, a keyword, a wildcard.
fn origin(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?;
    let plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    let known = matches!(url.scheme(), "http" | "https");
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    (plain && known).then(|| format!("{}://{host}{port}", url.scheme()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;

    fn policy(target: Option<&str>) -> String {
        let headers = headers(target);
        let (_, value) = headers.iter().find(|(name, _)| name == CONTENT_SECURITY_POLICY).unwrap();
        value.to_str().unwrap().to_owned()
    }

    #[test]
    fn the_path_of_the_style_sheet_changes_with_its_content() {
        let hash = hex::encode(Sha256::digest(STYLE));
        assert_eq!(STYLE_PATH, format!("/bank.{}.css", &hash[..16]));
    }

    #[test]
    fn a_form_may_end_here_and_at_the_callback_and_nowhere_else() {
        assert!(policy(None).ends_with("; form-action 'self'"));
        for (callback, origin) in [
            ("https://funds-co.example/cb?a=b;c", "https://funds-co.example"),
            ("https://Funds-Co.example:443/", "https://funds-co.example"),
            ("https://funds-co.example:8443/cb", "https://funds-co.example:8443"),
            ("http://127.0.0.1:9000/cb", "http://127.0.0.1:9000"),
            ("https://user:secret@funds-co.example/", "https://funds-co.example"),
        ] {
            assert!(policy(Some(callback)).ends_with(&format!("; form-action 'self' {origin}")));
        }
    }

    #[test]
    fn a_callback_that_is_no_plain_origin_adds_nothing() {
        for callback in [
            "",
            "*",
            "https:",
            "/cb",
            "javascript:alert(1)",
            "data:text/html,x",
            "app:/cb",
            "https://*.example/",
            "https://a;script-src.example/",
            "https://a,b.example/",
            "https://'unsafe-inline'/",
            "https://[::1]/cb",
            "https://a b.example/",
        ] {
            assert_eq!(policy(Some(callback)), policy(None), "{callback}");
        }
    }

    #[test]
    fn nothing_is_stored_framed_or_referred_to() {
        let headers = headers(None);
        let value = |name: &str| headers.iter().find(|h| h.0 == name).map(|h| h.1.clone()).unwrap();
        assert_eq!(value("x-frame-options"), "DENY");
        assert_eq!(value("referrer-policy"), "no-referrer");
        assert_eq!(value("x-content-type-options"), "nosniff");
        assert_eq!(value("cache-control"), "no-store");
        assert_eq!(value("cross-origin-opener-policy"), "same-origin");
        assert!(value("permissions-policy").to_str().unwrap().contains("camera=()"));
        for directive in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy(None).contains(directive));
        }
    }

    #[test]
    fn the_style_sheet_loads_nothing() {
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    }

    proptest! {
        #[test]
        fn no_callback_adds_a_directive(host in ".{0,20}", rest in ".{0,20}") {
            for target in [format!("https://{host}/{rest}"), format!("{host}{rest}")] {
                let policy = policy(Some(&target));
                let base = super::tests::policy(None);
                let added = policy.strip_prefix(&base).unwrap();
                let plain = |c: char| c.is_ascii_alphanumeric() || "-.:/".contains(c);
                prop_assert!(added.is_empty() || added.strip_prefix(' ').unwrap().chars().all(plain));
            }
        }
    }
}
