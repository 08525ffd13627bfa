//! An adapter for the path-validation cases of C2SP x509-limbo: reads `limbo.json` from standard
//! input, judges each case as a gateway judges a client certificate before it asks for a QWAC, and
//! writes limbo's result format. Host names are not compared: a TPP's certificate names none of ours.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::{Read, Write};

use certs::{Anchors, Leaf, RevocationStatus, Revocations};
use jiff::Timestamp;
use serde_json::{Value, json};

fn main() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).expect("limbo.json on standard input");
    let suite: Value = serde_json::from_str(&text).expect("limbo.json");
    let cases = suite["testcases"].as_array().expect("testcases");
    let results: Vec<Value> = cases
        .iter()
        .map(|case| {
            let judged = judge(case);
            json!({
                "id": case["id"],
                "actual_result": if judged.is_ok() { "SUCCESS" } else { "FAILURE" },
                "context": judged.err(),
            })
        })
        .collect();
    let report = json!({ "version": 1, "harness": "octroi", "results": results });
    let mut out = std::io::stdout();
    serde_json::to_writer(&mut out, &report).expect("standard output");
    writeln!(out).expect("standard output");
}

fn judge(case: &Value) -> Result<(), String> {
    let texts = |name: &str| -> Vec<String> {
        let list = case[name].as_array().cloned().unwrap_or_default();
        list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let at = match case["validation_time"].as_str() {
        Some(text) => text.parse::<Timestamp>().map_err(|error| error.to_string())?,
        None => Timestamp::now(),
    };
    let trusted = texts("trusted_certs");
    let sources: Vec<(&str, &[u8])> =
        trusted.iter().map(|pem| ("trusted", pem.as_bytes())).collect();
    let anchors = Anchors::from_pem(&sources).map_err(|error| error.to_string())?;
    let sent = texts("untrusted_intermediates").iter().try_fold(Vec::new(), |mut sent, pem| {
        sent.extend(Leaf::ders_of_pem(pem.as_bytes()).map_err(|error| error.to_string())?);
        Ok::<_, String>(sent)
    })?;
    let peer = case["peer_certificate"].as_str().unwrap_or_default();
    let (leaf, _) = Leaf::from_pem(peer.as_bytes()).map_err(|error| error.to_string())?;
    if leaf.version() != 3 {
        return Err(format!("version {}", leaf.version()));
    }
    if leaf.is_ca() {
        return Err("a CA's certificate".to_owned());
    }
    if !leaf.key().is_accepted() || !leaf.signature_algorithm().is_accepted() {
        return Err(format!("{} signed with {}", leaf.key(), leaf.signature_algorithm()));
    }
    if leaf.key_usage().is_some_and(|usage| !usage.digital_signature()) {
        return Err("keyUsage".to_owned());
    }
    let purposes = leaf.ext_key_usage();
    let wanted = |name: &str| {
        let list = case["extended_key_usage"].as_array().cloned().unwrap_or_default();
        list.iter().any(|purpose| purpose == name)
    };
    // Cases for servers say what they would say of clients, with the other purpose.
    let client = wanted("clientAuth") || case["validation_kind"] == "CLIENT";
    let fits = purposes
        .is_none_or(|purposes| if client { purposes.client_auth } else { purposes.server_auth });
    if !fits {
        return Err("extKeyUsage".to_owned());
    }
    let path = anchors.find_path(&leaf, &sent, at).map_err(|error| error.to_string())?;
    if at < path.not_before() || at > path.not_after() {
        return Err("validity".to_owned());
    }
    if let Some(depth) = case["max_chain_depth"].as_u64() {
        let between = u64::try_from(path.links().len().saturating_sub(1)).unwrap_or(u64::MAX);
        if between > depth {
            return Err("max_chain_depth".to_owned());
        }
    }
    let lists = texts("crls");
    if !lists.is_empty() {
        let lists: Vec<(&str, &[u8])> = lists.iter().map(|pem| ("crl", pem.as_bytes())).collect();
        let revocations =
            Revocations::from_crls(&lists, &anchors).map_err(|error| error.to_string())?;
        match revocations.status(&path, at) {
            RevocationStatus::Good { .. } => {}
            other => return Err(format!("{other:?}")),
        }
    }
    Ok(())
}
