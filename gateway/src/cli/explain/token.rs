//! The token of the request to explain: none, its value (looked up in the store), or its record.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use policies::{Admitted, Source, TokenFact, TokenRecord};
use zeroize::Zeroizing;

use crate::admin;
use crate::cli::{Failure, files};
use crate::config::{Config, StoreSettings};
use crate::store::{self, Store, StoreError};

/// With a record at hand the value does not matter: any well-formed one passes the form check.
const STAND_IN: &[u8] = b"Bearer of-the-given-record";

#[derive(Debug, clap::Args)]
#[group(id = "token_source", multiple = false)]
pub(super) struct Args {
    /// The record of the token, in JSON (`-`: standard input); the store is not asked
    #[arg(long, value_name = "FILE")]
    token_record: Option<PathBuf>,
    /// A file that holds the access token (`-`: standard input); it is looked up in the store
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The access token itself. Other users of this machine can see it; prefer --token-file
    #[arg(long, value_name = "TOKEN")]
    token: Option<Hidden>,
}

/// A token from the command line, which must not show up in a debug print of the options.
#[derive(Clone)]
struct Hidden(Zeroizing<String>);

/// What the request carries.
pub(super) enum Token {
    None,
    Value(Zeroizing<Vec<u8>>),
    Record(Arc<TokenRecord>),
}

impl Args {
    pub(super) fn read(&self) -> Result<Token, Failure> {
        if let Some(file) = &self.token_record {
            let record = TokenRecord::from_json(&files::read(file)?)
                .map_err(|error| Failure::Cannot(format!("{}: {error}", file.display())))?;
            return Ok(Token::Record(Arc::new(record)));
        }
        if let Some(file) = &self.token_file {
            let text = Zeroizing::new(files::read(file)?);
            return Ok(Token::Value(Zeroizing::new(text.trim_ascii().to_vec())));
        }
        Ok(match &self.token {
            Some(Hidden(token)) => Token::Value(Zeroizing::new(token.as_bytes().to_vec())),
            None => Token::None,
        })
    }
}

impl Token {
    /// The Authorization header that carries it (RFC 6750).
    pub(super) fn authorization(&self) -> Option<Zeroizing<Vec<u8>>> {
        match self {
            Self::None => None,
            Self::Value(token) => Some(Zeroizing::new([b"Bearer ", token.as_slice()].concat())),
            Self::Record(_) => Some(Zeroizing::new(STAND_IN.to_vec())),
        }
    }

    /// What the store says about it, or would say about a record that is at hand.
    pub(super) fn fact(
        &self,
        admitted: &Admitted,
        config: &Config,
        at: Timestamp,
    ) -> Result<TokenFact, Failure> {
        match self {
            Self::Record(record) => Ok(TokenFact::Live {
                record: Arc::clone(record),
                as_of: at,
                source: Source::TokenStore,
            }),
            Self::None | Self::Value(_) => look_up(admitted, config, at),
        }
    }
}

fn look_up(admitted: &Admitted, config: &Config, at: Timestamp) -> Result<TokenFact, Failure> {
    let (token, id) = (admitted.token(), admitted.organisation_id());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::cannot)?;
    let fact = runtime.block_on(async {
        match open(&config.store)? {
            Some(store) => Ok(store.token(&token, id, at).await),
            None => {
                admin::client::token_fact(config, &token, id, at).await.map_err(Failure::cannot)
            }
        }
    })?;
    match fact {
        // A gateway that cannot ask its store refuses, and so it would be explained; but it says
        // nothing about the request, which is what the caller of this verb wants to know.
        TokenFact::Unavailable => Err(Failure::Cannot(
            "the store does not answer, so the token cannot be looked up. To mend: start the \
             store, or give the record with --token-record"
                .to_owned(),
        )),
        fact => Ok(fact),
    }
}

/// `None`: a running gateway holds the file, so it is the one to ask.
fn open(settings: &StoreSettings) -> Result<Option<Arc<dyn Store>>, Failure> {
    match settings {
        // Asking a question must not make a file.
        StoreSettings::Embedded { file } if !file.exists() => Err(Failure::Cannot(format!(
            "store file {}: does not exist yet, so no token can be looked up. To mend: give the \
             record with --token-record",
            file.display()
        ))),
        settings => match store::open(settings, None) {
            Ok(store) => Ok(Some(store)),
            Err(StoreError::InUse { .. }) => Ok(None),
            Err(error) => Err(Failure::cannot(error)),
        },
    }
}

impl FromStr for Hidden {
    type Err = Infallible;

    fn from_str(token: &str) -> Result<Self, Infallible> {
        Ok(Self(Zeroizing::new(token.to_owned())))
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
