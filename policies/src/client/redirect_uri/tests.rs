use proptest::prelude::*;
use url::Url;

use super::*;

/// The name of the fault that `text` is refused for, or nothing.
fn refused(text: &str, setting: Setting) -> String {
    match RedirectUri::enrol(text, setting) {
        Ok(uri) => {
            assert_eq!(uri.as_str(), text);
            String::new()
        }
        Err(fault) => {
            let name = format!("{fault:?}");
            name.split([' ', '{', '(']).next().unwrap_or_default().to_owned()
        }
    }
}

#[test]
fn addresses_that_tpps_write_are_enrolled_as_they_are() {
    for text in [
        "https://tpp.example/",
        "https://tpp.example/cb",
        "https://tpp.example/cb/",
        "https://app.tpp.example:8443/psd2/callback?bank=17515",
        "https://tpp.example/cb?a=b&c=d%20e&next=https%3A%2F%2Fx",
        "https://xn--caf-dma.example/%C3%A9",
        "https://8.8.8.8/cb",
        "https://[2606:4700::1111]/cb",
        "https://tpp.example/@me/a;b=c,d/~e/(f)!$&+",
        "https://1-2.3a.example/CB",
    ] {
        for setting in [Setting::Production, Setting::Sandbox] {
            assert_eq!(refused(text, setting), "", "{text}");
        }
    }
}

#[test]
fn a_place_has_one_spelling_and_every_other_is_refused() {
    for (text, fault) in [
        ("", "Empty"),
        ("/cb", "NotAbsolute"),
        ("tpp.example/cb", "NotAbsolute"),
        ("//tpp.example/cb", "NotAbsolute"),
        ("https:tpp.example/cb", "NotAbsolute"),
        ("https:/tpp.example/cb", "NotAbsolute"),
        ("https:///tpp.example/cb", "NotAbsolute"),
        ("HTTPS://tpp.example/cb", "SchemeCase"),
        ("http://tpp.example/cb", "Scheme"),
        ("ftp://tpp.example/cb", "Scheme"),
        ("javascript://tpp.example/%0Aalert(1)", "Scheme"),
        ("data://text/html,x", "Scheme"),
        ("com.tpp.app://cb/x", "Scheme"),
        ("https://tpp.example/cb#", "Fragment"),
        ("https://tpp.example/cb#x", "Fragment"),
        ("https://tpp.example#@other.example/", "Fragment"),
        ("https://user@tpp.example/cb", "UserInfo"),
        ("https://user:secret@tpp.example/cb", "UserInfo"),
        ("https://@tpp.example/cb", "UserInfo"),
        ("https://tpp.example:443@other.example/cb", "UserInfo"),
        ("https://tpp.example\\@other.example/cb", "Backslash"),
        ("https:\\\\tpp.example\\cb", "Backslash"),
        ("https://tpp.example/\\other.example", "Backslash"),
        ("https://*.tpp.example/cb", "Wildcard"),
        ("https://tpp.example/*", "Wildcard"),
        (" https://tpp.example/cb", "Space"),
        ("https://tpp.example/cb ", "Space"),
        ("https://tpp.example/cb\n", "Space"),
        ("ht\ttps://tpp.example/cb", "Space"),
        ("https://tpp.exa\tmple/cb", "Space"),
        ("https://tpp.example/c\0b", "Space"),
        ("https://tpp.example/cb\u{7f}", "Space"),
        ("https://t\u{440}\u{440}.example/cb", "NotAscii"),
        ("https://tpp\u{3002}example/cb", "NotAscii"),
        ("https://tpp.example\u{2044}cb", "NotAscii"),
        ("https://tpp.example/\u{202e}bc", "NotAscii"),
        ("https://tpp.example/<cb>", "Character"),
        ("https://tpp.example/cb?x=\"y\"", "Character"),
        ("https://tpp.example/{id}", "Character"),
        ("https://tpp.example/a[0]", "Character"),
        ("https://:443/cb", "HostMissing"),
        ("https://?x=y", "HostMissing"),
        ("https://tpp%2eexample/cb", "HostEncoded"),
        ("https://tpp.example%2Fother.example/cb", "HostEncoded"),
        ("https://[fe80::1%25eth0]/cb", "HostEncoded"),
        ("https://tpp.example./cb", "HostDot"),
        ("https://tpp.example.:8443/cb", "HostDot"),
        ("https://TPP.example/cb", "HostCase"),
        ("https://tpp..example/cb", "HostName"),
        ("https://-tpp.example/cb", "HostName"),
        ("https://tpp_x.example/cb", "HostName"),
        ("https://tpp.example;x/cb", "HostName"),
        ("https://tpp.example,other.example/cb", "HostName"),
        ("https://xn--tpp-.example/cb", "Unreadable"),
        ("https://tpp.example:443/cb", "PortDefault"),
        ("https://tpp.example:/cb", "PortDefault"),
        ("https://tpp.example:08443/cb", "Port"),
        ("https://tpp.example:0/cb", "Port"),
        ("https://tpp.example:65536/cb", "Port"),
        ("https://tpp.example:x/cb", "Port"),
        ("https://[::1/cb", "Port"),
        ("https://[::1]x/cb", "Unreadable"),
        ("https://tpp.example", "PathMissing"),
        ("https://tpp.example?x=y", "PathMissing"),
        ("https://tpp.example/a/../cb", "DotSegment"),
        ("https://tpp.example/./cb", "DotSegment"),
        ("https://tpp.example/cb/..", "DotSegment"),
        ("https://tpp.example/a/%2E%2E/cb", "EncodedUnreserved"),
        ("https://tpp.example/a/%2e%2e/cb", "PercentEncoding"),
        ("https://tpp.example/a/..%2Fcb", "EncodedSeparator"),
        ("https://tpp.example/a/..%5Ccb", "EncodedSeparator"),
        ("https://tpp.example/a/..%252Fcb", "EncodedSeparator"),
        ("https://tpp.example//other.example/cb", "EmptySegment"),
        ("https://tpp.example/%63b", "EncodedUnreserved"),
        ("https://tpp.example/%7Eme", "EncodedUnreserved"),
        ("https://tpp.example/%c3%a9", "PercentEncoding"),
        ("https://tpp.example/100%", "PercentEncoding"),
        ("https://tpp.example/%zz", "PercentEncoding"),
        ("https://tpp.example/cb%0D%0ASet-Cookie:x", "EncodedControl"),
        ("https://tpp.example/cb?x=%00", "EncodedControl"),
        ("https://tpp.example/cb?", "QueryEmpty"),
        ("https://tpp.example/cb?code=mine", "QueryReserved"),
        ("https://tpp.example/cb?x=1&State=mine", "QueryReserved"),
        ("https://tpp.example/cb?x='", "Spelling"),
    ] {
        for setting in [Setting::Production, Setting::Sandbox] {
            assert_eq!(refused(text, setting), fault, "{text:?}");
        }
    }
}

#[test]
fn an_address_that_only_one_network_knows_is_for_the_sandbox() {
    for text in [
        "https://localhost/cb",
        "https://app.localhost:3000/cb",
        "https://printer.local/cb",
        "https://tpp.internal/cb",
        "https://intranet/cb",
        "https://tpp.home.arpa/cb",
        "https://127.0.0.1/cb",
        "https://10.0.0.1/cb",
        "https://172.31.255.255/cb",
        "https://192.168.1.1:8443/cb",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/cb",
        "https://0.0.0.0/cb",
        "https://198.18.0.1/cb",
        "https://203.0.113.7/cb",
        "https://224.0.0.1/cb",
        "https://255.255.255.255/cb",
        "https://[::1]/cb",
        "https://[::]/cb",
        "https://[fe80::1]/cb",
        "https://[fd00::1]/cb",
        "https://[::ffff:a00:1]/cb",
        "https://[::7f00:1]/cb",
        "https://[64:ff9b::7f00:1]/cb",
        "https://[2002:7f00:1::]/cb",
        "https://[2001:db8::1]/cb",
        "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/cb",
        "https://[ff02::1]/cb",
    ] {
        assert_eq!(refused(text, Setting::Production), "NotPublic", "{text}");
        assert_eq!(refused(text, Setting::Sandbox), "", "{text}");
    }
}

#[test]
fn an_ip_address_has_one_form_too() {
    for (text, instead) in [
        ("https://0x7f.1/cb", "127.0.0.1"),
        ("https://2130706433/cb", "127.0.0.1"),
        ("https://0177.0.0.1/cb", "127.0.0.1"),
        ("https://127.1/cb", "127.0.0.1"),
        ("https://127.0.0.01/cb", "127.0.0.1"),
        ("https://010.8.8.8/cb", "8.8.8.8"),
        ("https://[0:0:0:0:0:0:0:1]/cb", "[::1]"),
        ("https://[::ffff:127.0.0.1]/cb", "[::ffff:7f00:1]"),
        ("https://[2606:4700:0::1111]/cb", "[2606:4700::1111]"),
    ] {
        for setting in [Setting::Production, Setting::Sandbox] {
            let expected = RedirectUriFault::AddressForm { instead: instead.to_owned() };
            assert_eq!(RedirectUri::enrol(text, setting), Err(expected), "{text}");
        }
    }
}

#[test]
fn the_sandbox_takes_http_for_the_developers_own_machine_only() {
    for text in [
        "http://localhost/cb",
        "http://localhost:3000/cb",
        "http://app.localhost/cb",
        "http://127.0.0.1:8080/cb",
        "http://[::1]:8080/cb",
    ] {
        assert_eq!(refused(text, Setting::Sandbox), "", "{text}");
        assert_eq!(refused(text, Setting::Production), "Scheme", "{text}");
    }
    for text in [
        "http://tpp.example/cb",
        "http://127.0.0.2/cb",
        "http://notlocalhost/cb",
        "http://localhost.tpp.example/cb",
        "http://[::2]/cb",
        "http://10.0.0.1/cb",
    ] {
        assert_eq!(refused(text, Setting::Sandbox), "Scheme", "{text}");
    }
    assert_eq!(refused("http://localhost:80/cb", Setting::Sandbox), "PortDefault");
}

#[test]
fn only_the_very_text_matches() {
    let uri = RedirectUri::enrol("https://tpp.example/cb", Setting::Production).unwrap();
    assert!(uri.matches("https://tpp.example/cb"));
    for sent in [
        "https://tpp.example/cb/",
        "https://tpp.example/cb?",
        "https://tpp.example/cb?x=y",
        "https://tpp.example/c",
        "https://tpp.example/CB",
        "https://TPP.example/cb",
        "https://tpp.example:443/cb",
        "https://tpp.example/cb#",
        "https://tpp.example/a/../cb",
        "https://tpp.example/%63b",
        "https://sub.tpp.example/cb",
        "https://tpp.example.other.example/cb",
        "https://tpp.example/cb\n",
        "",
    ] {
        assert!(!uri.matches(sent), "{sent:?}");
    }
}

#[test]
fn an_answer_is_added_to_the_query_and_encoded() {
    let with = |text: &str, pairs: &[(&str, &str)]| {
        RedirectUri::enrol(text, Setting::Sandbox).unwrap().with_query(pairs)
    };
    let pairs = [("code", "a b&c=d#e"), ("state", "\u{e9}\r\n")];
    let encoded = "code=a+b%26c%3Dd%23e&state=%C3%A9%0D%0A";
    assert_eq!(with("https://tpp.example/cb", &pairs), format!("https://tpp.example/cb?{encoded}"));
    assert_eq!(
        with("https://tpp.example/cb?x=y%20z", &pairs),
        format!("https://tpp.example/cb?x=y%20z&{encoded}")
    );
    assert_eq!(with("http://[::1]:1/", &[]), "http://[::1]:1/");
}

#[test]
fn the_origin_is_what_a_content_security_policy_names() {
    let origin =
        |text: &str| RedirectUri::enrol(text, Setting::Sandbox).unwrap().origin().to_owned();
    assert_eq!(origin("https://tpp.example/cb?x=//y/z"), "https://tpp.example");
    assert_eq!(origin("http://[::1]:8080/cb"), "http://[::1]:8080");
}

#[test]
fn every_refusal_says_what_to_write() {
    let told = |text: &str| RedirectUri::enrol(text, Setting::Production).unwrap_err().to_string();
    assert_eq!(told("https://tpp.example./cb"), "its host ends with a dot; leave the dot out");
    assert_eq!(
        told("https://2130706433/cb"),
        "its host is an IP address in another form than the usual one; write 127.0.0.1"
    );
    assert_eq!(
        told("https://tpp.example/cb?x='"),
        "browsers write it otherwise from byte 25 on; write %27 there"
    );
    assert!(told(&"a".repeat(2049)).contains("2049"));
}

fn piece() -> impl Strategy<Value = String> {
    let known: Vec<&'static str> = vec![
        "https://",
        "http://",
        "tpp.example",
        "localhost",
        "127.0.0.1",
        "[::1]",
        "8.8.8.8",
        "@",
        ":",
        ":443",
        ":8443",
        "/",
        "//",
        "..",
        ".",
        "%2E",
        "%2F",
        "%C3%A9",
        "?",
        "&",
        "=",
        "#",
        "\\",
        "\t",
        "xn--caf-dma",
        "code",
        "0x7f.1",
        "A",
        "a",
        "'",
        "[",
        "]",
        "+",
        ";",
    ];
    prop_oneof![4 => proptest::sample::select(known).prop_map(str::to_owned), 1 => ".{0,3}"]
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        proptest::collection::vec(piece(), 0..9).prop_map(|pieces| pieces.concat()),
        proptest::collection::vec(piece(), 0..7)
            .prop_map(|pieces| format!("https://tpp.example/{}", pieces.concat())),
        "https?://[a-z0-9.:-]{1,12}/[a-zA-Z0-9%./?&=~!$'()+,;@_-]{0,24}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn an_accepted_text_is_its_own_only_spelling(text in texts(), other in texts()) {
        for setting in [Setting::Production, Setting::Sandbox] {
            if let Ok(uri) = RedirectUri::enrol(&text, setting) {
                let url = Url::parse(&text).unwrap();
                prop_assert_eq!(url.as_str(), text.as_str());
                prop_assert!(text.is_ascii() && url.fragment().is_none());
                prop_assert!(url.username().is_empty() && url.password().is_none());
                prop_assert!(uri.matches(&text));
                prop_assert_eq!(uri.matches(&other), other == text);
                prop_assert_eq!(uri.origin(), url.origin().ascii_serialization());
            }
        }
    }

    #[test]
    fn what_production_takes_the_sandbox_takes_too(text in texts()) {
        let production = RedirectUri::enrol(&text, Setting::Production);
        if production.is_ok() {
            prop_assert_eq!(RedirectUri::enrol(&text, Setting::Sandbox), production);
        }
    }

    #[test]
    fn what_is_added_to_the_query_is_read_back_after_what_stood_there(
        text in texts(), pairs in proptest::collection::vec((any::<String>(), any::<String>()), 0..4)
    ) {
        if let Ok(uri) = RedirectUri::enrol(&text, Setting::Sandbox) {
            let pairs: Vec<_> = pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            let answer = uri.with_query(&pairs);
            prop_assert!(answer.starts_with(uri.as_str()));
            let (before, after) = (Url::parse(&text).unwrap(), Url::parse(&answer).unwrap());
            prop_assert_eq!(after.fragment(), None);
            let mut expected: Vec<_> = before.query_pairs().into_owned().collect();
            expected.extend(pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())));
            prop_assert_eq!(after.query_pairs().into_owned().collect::<Vec<_>>(), expected);
        }
    }
}
