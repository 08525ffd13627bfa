use proptest::prelude::*;

use super::*;
use crate::reason::Reason;

const GOOD: &str = r#"{"paymentCoverageRequestId":"MyCoverage123456",
"instructedAmount":{"currency":"EUR","amount":"100.05"},
"accountId":{"iban":"FR7617515000920440878790811"}}"#;

fn parse(text: &str) -> Result<FundsRequest, BodyFault> {
    FundsRequest::parse(text.as_bytes(), AmountForm::String)
}

fn told(find: &str, replace: &str) -> (Reason, String) {
    assert!(GOOD.contains(find));
    let fault = parse(&GOOD.replacen(find, replace, 1)).unwrap_err();
    (fault.reason(), fault.to_string())
}

#[test]
fn a_request_as_stet_writes_it_is_read_to_the_last_cent() {
    let request = parse(GOOD).unwrap();
    assert_eq!(request.amount().to_string(), "100.05");
    assert_eq!(request.iban(), "FR7617515000920440878790811");
    let payee = GOOD.replacen('{', r#"{"payee":"Caf\u00e9 du Port","#, 1);
    assert!(parse(&payee).is_ok());
}

#[test]
fn each_member_that_is_not_what_it_must_be_is_named_with_its_place() {
    for (find, replace, expected) in [
        (
            r#""MyCoverage123456""#,
            "12",
            "paymentCoverageRequestId (line 1, column 29) must be a JSON string",
        ),
        (
            "MyCoverage123456",
            "",
            "paymentCoverageRequestId (line 1, column 29) must have 1 to 35 characters, none of them a control character",
        ),
        (
            r#""accountId""#,
            r#""accountID""#,
            "the body (line 3, column 13) has a member that this API version does not know",
        ),
        (
            r#""iban""#,
            r#""other":{},"iban""#,
            "accountId (line 3, column 22) has a member that this API version does not know",
        ),
        (
            r#""currency":"EUR""#,
            r#""currency":"EUR","currency":"EUR""#,
            "instructedAmount.currency (line 2, column 49) stands twice",
        ),
        (r#""currency":"EUR","#, "", "instructedAmount.currency is missing"),
        (
            r#"{"iban":"FR7617515000920440878790811"}"#,
            "[]",
            "accountId (line 3, column 13) must be a JSON object",
        ),
        (
            r#""EUR""#,
            r#""eur""#,
            "instructedAmount.currency (line 2, column 32) must be three capital letters (ISO 4217)",
        ),
    ] {
        assert_eq!(told(find, replace), (Reason::BodyInvalid, expected.to_owned()));
    }
}

#[test]
fn what_is_not_json_is_told_with_line_and_column() {
    let (reason, text) = told("\n\"accountId\"", "\n accountId");
    assert_eq!(reason, Reason::BodyInvalid);
    assert_eq!(text, "the body is not JSON: wrong at line 3, column 2");
    for text in ["", "null", "[]", "{}", &GOOD[..20], &format!("{GOOD} x")] {
        assert_eq!(parse(text).unwrap_err().reason(), Reason::BodyInvalid, "{text}");
    }
}

#[test]
fn amounts_are_plain_decimals_and_numbers_only_where_the_version_says_so() {
    for good in ["0", "100", "100.", "0.00001", "9999999999999.99999", "007"] {
        assert!(parse(&GOOD.replace("100.05", good)).is_ok(), "{good}");
    }
    for bad in [
        "",
        "-1",
        "+1",
        "1e3",
        "1,5",
        ".5",
        "1.000001",
        "10000000000000",
        "1.2.3",
        "\u{0661}",
        " 1",
    ] {
        assert_eq!(told("100.05", bad).0, Reason::BodyInvalid, "{bad}");
    }
    let number = GOOD.replace(r#""100.05""#, "100.05");
    assert_eq!(parse(&number).unwrap_err().reason(), Reason::BodyInvalid);
    let number = FundsRequest::parse(number.as_bytes(), AmountForm::StringOrNumber).unwrap();
    assert_eq!(number.amount().to_string(), "100.05");
    for bad in ["1e3", "-1", "true", "null", "1.000001"] {
        let text = GOOD.replace(r#""100.05""#, bad);
        let fault = FundsRequest::parse(text.as_bytes(), AmountForm::StringOrNumber).unwrap_err();
        assert_eq!(fault.reason(), Reason::BodyInvalid, "{bad}");
    }
}

#[test]
fn another_currency_and_a_wrong_iban_have_reasons_of_their_own() {
    assert_eq!(told("EUR", "USD").0, Reason::CurrencyUnsupported);
    for bad in [
        "FR7617515000920440878790812",
        "fr7617515000920440878790811",
        "FR76 1751 5000 9204 4087 8790 811",
        "",
        "FR76",
        "XX7617515000920440878790811",
    ] {
        assert_eq!(told("FR7617515000920440878790811", bad).0, Reason::IbanInvalid, "{bad}");
    }
}

#[test]
fn neither_errors_nor_debug_repeat_what_was_sent() {
    let request = format!("{:?}", parse(GOOD).unwrap());
    assert!(!request.contains("FR76") && !request.contains("100"), "{request}");
    for (find, replace) in [
        ("FR7617515000920440878790811", "FR7617515000920440878790812"),
        (r#""payment"#, r#""FR7617515000920440878790812":1,"payment"#),
        (r#""accountId""#, r#""FR7617515000920440878790812""#),
    ] {
        if GOOD.contains(find) {
            assert!(!told(find, replace).1.contains("FR76"));
        }
    }
}

#[test]
fn a_body_over_the_bound_is_refused_by_its_length() {
    let long = " ".repeat(FUNDS_REQUEST_BYTES_MAX + 1);
    assert_eq!(parse(&long).unwrap_err(), BodyFault::TooLarge);
}

proptest! {
    #[test]
    fn any_bytes_are_judged_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = FundsRequest::parse(&bytes, AmountForm::StringOrNumber);
    }

    #[test]
    fn a_bent_request_is_refused_or_asks_about_an_iban_with_right_check_digits(
        at in 0..GOOD.len(), byte in any::<u8>(),
    ) {
        let mut bytes = GOOD.as_bytes().to_vec();
        bytes[at] = byte;
        if let Ok(request) = FundsRequest::parse(&bytes, AmountForm::StringOrNumber) {
            prop_assert!(request.iban().parse::<iban::Iban>().is_ok());
            prop_assert!(!request.amount().is_sign_negative());
        }
    }
}

#[test]
fn the_same_question_has_one_digest_however_it_is_written() {
    let one = parse(GOOD).unwrap();
    let other = r#" { "accountId" : {"iban":"FR7617515000920440878790811"},
        "instructedAmount":{"amount":"100.05000", "currency":"EUR"},
        "paymentCoverageRequestId":"MyCoverage12345\u0036"} "#;
    assert_eq!(one.content_digest(), parse(other).unwrap().content_digest());
    assert_eq!(one.id_digest(), parse(other).unwrap().id_digest());
}

#[test]
fn each_part_of_a_question_is_in_its_digest() {
    let one = parse(GOOD).unwrap();
    for (find, replace) in [
        ("MyCoverage123456", "MyCoverage123457"),
        ("100.05", "100.06"),
        ("FR7617515000920440878790811", "FR7617515000920400430518020"),
        ("{\"paymentCoverageRequestId", "{\"payee\":\"\",\"paymentCoverageRequestId"),
        ("{\"paymentCoverageRequestId", "{\"payee\":\"A\",\"paymentCoverageRequestId"),
        ("\"iban\"", "\"currency\":\"EUR\",\"iban\""),
    ] {
        let other = parse(&GOOD.replacen(find, replace, 1)).unwrap();
        assert_ne!(one.content_digest(), other.content_digest(), "{replace}");
        assert_eq!(one.id_digest() == other.id_digest(), find != "MyCoverage123456");
    }
}
