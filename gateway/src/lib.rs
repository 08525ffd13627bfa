//! Octroi: the gate of a bank's PSD2 interface.
//!
//! The modules are layered the way a request runs; a lower one never names a higher one:
//! `cli → {server, openapi} → admin → {pages, sandbox} → proxy → {listen, upstream} → {store, world, audit,
//! metrics, problem} → config → {clock, descriptors, drain, log, memory} → policies → certs`.

pub mod admin;
pub mod archive;
pub mod audit;
pub mod authorization;
pub mod cli;
pub mod clock;
pub mod config;
pub mod descriptors;
pub mod dossier;
pub mod drain;
pub mod fetch;
pub mod in_flight;
pub mod introduction;
pub mod jwt;
pub mod listen;
pub mod log;
pub mod memory;
pub mod metrics;
pub mod openapi;
pub mod pages;
pub mod probe;
pub mod problem;
pub mod proxy;
pub mod register;
pub mod replay;
pub mod revocation;
pub mod roadmap;
pub mod sandbox;
pub mod seals;
pub mod server;
pub mod statistics;
pub mod store;
pub mod supervisor;
pub mod tpps;
pub mod traces;
pub mod trust;
pub mod upstream;
pub mod world;
