//! What differs between two configurations, and what of it a running gateway takes in.

use serde_json::Value;

use super::material::{self, Place};
use crate::config::change::{AT_START, Applies, applies};
use crate::config::{Changes, Config};

/// The keys that are classified one by one: a table that is not among them counts as one.
const SPLIT: [&str; 4] = ["insecure", "listen", "listen.psu", "listen.tpp"];

fn told(changes: &Changes) -> Vec<String> {
    changes.0.iter().map(ToString::to_string).collect()
}

#[test]
fn of_every_key_it_is_known_whether_a_reload_takes_it_in() {
    let schema = Config::schema();
    let mut waiting = vec![(String::new(), schema.clone())];
    let mut seen = 0;
    while let Some((key, node)) = waiting.pop() {
        let node = match node.get("$ref").and_then(Value::as_str) {
            Some(name) => schema.pointer(name.trim_start_matches('#')).unwrap().clone(),
            None => node,
        };
        let members = node.get("properties").and_then(Value::as_object);
        if let Some(members) = members
            && (key.is_empty() || SPLIT.contains(&key.as_str()))
        {
            let of =
                |name: &String| if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            waiting.extend(members.iter().map(|(name, node)| (of(name), node.clone())));
            continue;
        }
        seen += 1;
        assert!(
            applies(&key).is_some(),
            "`{key}` stands in none of the two lists of config/change.rs, or in both: does a reload \
             take it in?"
        );
    }
    assert!(seen > 20, "the schema was walked");
}

#[test]
fn what_needs_a_start_is_what_the_page_about_reloads_says() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/operating/change.md");
    let page = std::fs::read_to_string(page).unwrap();
    for key in AT_START {
        assert!(
            page.contains(&format!("`{key}`")),
            "{key} is missing in docs/src/operating/change.md"
        );
        assert_eq!(applies(key), Some(Applies::AtStart));
    }
}

#[test]
fn tables_of_a_list_go_by_their_names_and_a_file_with_another_content_is_a_change() {
    let place = Place::new();
    let old = place.config(material::SOUND);
    place.write("other.crl", "");
    let text = material::SOUND.replace(
        "[[codetab]]\ncode = \"10548\"",
        "[[codetab]]\ncode = \"10547\"\nname = \"NEW\"\nupstream = { addresses = \
         [\"127.0.0.1:8081\"] }\n[[codetab]]\ncode = \"10548\"",
    );
    let text = text.replace("127.0.0.1:8080", "127.0.0.1:9090");
    let new = place.config(&text);
    assert_eq!(
        told(&old.stated.changes(&new.stated)),
        [
            "codetab[10547].code: added \"10547\"",
            "codetab[10547].name: added \"NEW\"",
            "codetab[10547].upstream.addresses: added [\"127.0.0.1:8081\"]",
            "codetab[10548].upstream.addresses: [\"127.0.0.1:8080\"] → [\"127.0.0.1:9090\"]",
        ]
    );
    place.write("audit.key", hex::encode([8; 32]));
    place.write("admin.key", "another-key-another-key-another-key");
    let changes = new.stated.changes(&place.config(&text).stated);
    let keys: Vec<&str> = changes.0.iter().map(|change| change.key.as_str()).collect();
    assert_eq!(keys, ["audit.key_file", "listen.admin.key_file"]);
    assert_eq!(changes.at_start().count(), 2);
    let shown = format!("{changes:?}");
    assert!(!shown.contains("another-key") && !shown.contains("0808"), "{shown}");
}

#[test]
fn a_part_that_is_on_by_its_empty_table_is_a_change_and_an_empty_table_of_mixed_keys_is_none() {
    let place = Place::new();
    let old = place.config(material::SOUND);
    let new = place.config(&format!("{}\n[probe]\n", material::SOUND));
    assert!(old.probe.is_none() && new.probe.is_some());
    let there = old.stated.changes(&new.stated);
    assert_eq!(told(&there), ["probe: added {}"]);
    assert_eq!(there.at_start().count(), 0);
    assert_eq!(told(&new.stated.changes(&old.stated)), ["probe: removed, was {}"]);
    let nothing = place.config(&format!("{}\n[insecure]\n", material::SOUND));
    assert!(old.stated.changes(&nothing.stated).is_empty());
}

#[test]
fn the_address_of_a_store_is_never_shown() {
    let place = Place::new();
    let store = |text: &str| material::SOUND.replace("embedded = \"store.redb\"", text);
    let sound = place.config(material::SOUND);
    let other = place.config(&store("redis = \"redis://127.0.0.1:6379/0\""));
    let shown = format!("{:?}", sound.stated.changes(&other.stated));
    assert!(shown.contains("store.redis") && !shown.contains("6379"), "{shown}");
}
