//! The upstream behind both proxies: reads the body, answers always the same.
//!
//! `bench-upstream LISTEN`

use std::error::Error;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use tokio::net::TcpListener;

const ANSWER: &str = r#"{"request":{},"result":true,"_links":{"self":{"href":"/"}}}"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("an address to listen at is needed")?;
    let listener = TcpListener::bind(address).await?;
    let answer = |_: Bytes| async { ([(CONTENT_TYPE, "application/hal+json")], ANSWER) };
    axum::serve(listener, Router::new().fallback(answer)).await?;
    Ok(())
}
