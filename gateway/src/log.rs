//! The program's own log: to stderr, one line an event, never what a client sent.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Pingora's debug lines hold raw request heads, tokens included; no filter may turn them on.
const PINGORA_AT_MOST_WARN: [&str; 5] = [
    "pingora_core=warn",
    "pingora_proxy=warn",
    "pingora_pool=warn",
    "pingora_load_balancing=warn",
    "h2=warn",
];

/// Starts logging. `OCTROI_LOG` is a filter such as `info` (the default) or `octroi=debug`; a
/// terminal gets text, anything else JSON.
pub fn start() {
    let mut filter =
        EnvFilter::try_from_env("OCTROI_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    for directive in PINGORA_AT_MOST_WARN {
        if let Ok(directive) = directive.parse() {
            filter = filter.add_directive(directive);
        }
    }
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // A second start in one process (tests) keeps the first one's log.
    let _ = if std::io::stderr().is_terminal() {
        registry.with(layer).try_init()
    } else {
        registry.with(layer.json()).try_init()
    };
}
