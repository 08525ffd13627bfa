//! What judges is kept as a text of its own.

use std::path::Path;

use super::material::{Place, changed};
use crate::config::Judging;

#[test]
fn what_judges_can_be_read_without_any_file_that_the_configuration_names() {
    let place = Place::new();
    let config = place.config(&changed("[trust]", "[trust]\nclient_auth_eku = \"ignore\""));
    for name in ["anchors.pem", "key_file", "audit", "listen", "store", "upstream", "eba"] {
        assert!(!config.judging.contains(name), "{name} in {}", config.judging);
    }
    let again = Judging::read(&config.judging, Path::new("worlds/objects/x.toml")).unwrap();
    assert_eq!(format!("{again:?}"), format!("{:?}", Judging::from(&config)));
}

#[test]
fn what_was_changed_is_refused_by_the_name_of_its_file() {
    let error = Judging::read("[register]\nfresh_for = 3", Path::new("x.toml")).unwrap_err();
    assert!(error.to_string().contains("x.toml"), "{error}");
    let error = Judging::read("[register]", Path::new("x.toml")).unwrap_err();
    assert!(error.to_string().contains("another version"), "{error}");
}
