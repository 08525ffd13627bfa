//! What a configuration must be, and what each mistake is answered with.

mod authorizing;
mod changing;
mod diverting;
mod examples;
mod judging;
mod limits;
mod material;
mod refusals;
mod reporting;
mod storing;
mod trusting;

use std::fs;

use policies::quota::Measure;

use super::{Config, EbaPlace, Problem};
use material::Place;

/// The one problem that a change to a sound configuration makes.
fn refused(find: &str, replace: &str) -> Problem {
    let place = Place::new();
    let problems = place.problems(&material::changed(find, replace));
    let [problem] = <[Problem; 1]>::try_from(problems).expect("exactly one problem");
    problem
}

#[test]
fn a_sound_configuration_is_read_with_its_files() {
    let place = Place::new();
    let config = place.config(material::SOUND);
    assert_eq!(config.listen.tpp.address.port(), 8443);
    assert_eq!(config.trust.anchors[0].0, "anchors.pem");
    let Some(EbaPlace::File(eba)) = &config.register.eba else { panic!("a file") };
    assert_eq!(eba.as_of.read(), Ok("2026-08-16T00:00:16Z".parse().unwrap()));
    assert_eq!(config.audit.key.expose(), [7; 32]);
    assert_eq!(config.problem_type_base, "https://psu.example-bank.fr/reasons/");
    let Measure::Rate { burst, .. } = config.apis[0].quotas[0].measure else { panic!() };
    assert_eq!(burst.get(), 120);
    assert_eq!(config.limits.body_bytes_max, 16 * 1024);
}

#[test]
fn paths_start_at_the_directory_of_the_file() {
    let place = Place::new();
    let config = place.config(material::SOUND);
    assert_eq!(config.audit.directory, place.path("audit"));
    fs::write(place.path("octroi.toml"), material::SOUND).unwrap();
    assert!(Config::load(&place.path("octroi.toml")).is_ok());
}

#[test]
fn the_published_schema_is_the_one_of_this_program() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/reference/octroi.schema.json");
    let program = format!("{:#}\n", Config::schema());
    if std::env::var_os("OCTROI_WRITE_SCHEMA").is_some() {
        fs::write(file, &program).unwrap();
    }
    let published = fs::read_to_string(file).unwrap();
    assert!(published == program, "run this test with OCTROI_WRITE_SCHEMA=1 to publish the schema");
}
