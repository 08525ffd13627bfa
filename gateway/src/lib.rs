//! Octroi: the program.

pub mod config;
