//! `octroi check` refuses what would leave the gate open, with file, line, key and mend.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;

use harness::gateway::{Gateway, Place, path_text};
use harness::run;

struct Checked {
    code: Option<i32>,
    said: String,
}

/// Checks the sandbox's configuration with one text in place of another.
fn check(place: &Place, find: &str, replace: &str) -> Checked {
    let text = fs::read_to_string(place.file("octroi.toml")).unwrap();
    assert!(text.contains(find), "{find:?} does not stand in\n{text}");
    let file = place.file("bent.toml");
    fs::write(&file, text.replacen(find, replace, 1)).unwrap();
    let output = run(&["check", "--config", path_text(&file)]);
    Checked {
        code: output.status.code(),
        said: String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
    }
}

#[test]
fn the_sandbox_configuration_is_sound_and_what_opens_the_gate_is_not() {
    let place = Gateway::sandbox().leave();
    let sound = check(&place, "[limits]", "[limits]");
    assert_eq!(sound.code, Some(0), "{}", sound.said);

    for (find, replace, key) in [
        (
            r#"client_certificate = "required""#,
            r#"client_certificate = "optional""#,
            "listen.tpp.client_certificate",
        ),
        (r#"client_certificate = "required""#, "", "listen.tpp"),
        (r#"anchors = ["qtsp/anchors.pem"]"#, "anchors = []", "trust.anchors"),
        (r#"required_roles = ["PSP_IC"]"#, "required_roles = []", "api[0].required_roles"),
        ("[register.eba]", "[register.ebb]", "register.ebb"),
        ("head_timeout", "head_timout", "limits.head_timout"),
        (r#"name = "sandbox.api.localhost""#, r#"name = "psd2.example-bank.fr""#, "real domain"),
    ] {
        let checked = check(&place, find, replace);
        assert_eq!(checked.code, Some(1), "{find}: {}", checked.said);
        assert!(checked.said.contains("bent.toml:"), "{find}: {}", checked.said);
        assert!(checked.said.contains(key), "{find}: {}", checked.said);
        assert!(checked.said.contains("To mend:"), "{find}: {}", checked.said);
    }
    let unknown = check(&place, "head_timeout", "head_timout");
    assert!(unknown.said.contains("head_timeout"), "the nearest known key: {}", unknown.said);
}

#[test]
fn a_missing_register_is_refused() {
    let place = Gateway::sandbox().leave();
    for file in ["register/eba.json", "register/regafi-entites.csv"] {
        let path = place.file(file);
        let kept = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let checked = check(&place, "[limits]", "[limits]");
        assert_eq!(checked.code, Some(1), "{}", checked.said);
        assert!(checked.said.contains("register."), "{}", checked.said);
        fs::write(&path, b"[]").unwrap();
        let checked = check(&place, "[limits]", "[limits]");
        assert_eq!(checked.code, Some(1), "an empty register is no register: {}", checked.said);
        fs::write(&path, kept).unwrap();
    }
}

#[test]
fn run_refuses_what_check_refuses() {
    let place = Gateway::sandbox().leave();
    let bent = check(&place, r#"anchors = ["qtsp/anchors.pem"]"#, "anchors = []");
    let output = run(&["run", "--config", path_text(&place.file("bent.toml"))]);
    assert_eq!((bent.code, output.status.code()), (Some(1), Some(3)));
    assert!(String::from_utf8_lossy(&output.stderr).contains("trust.anchors"));
}

#[test]
fn a_file_that_is_not_there_is_another_matter_than_a_bad_one() {
    let output = run(&["check", "--config", "/nonexistent/octroi.toml"]);
    assert_eq!(output.status.code(), Some(3));
}
