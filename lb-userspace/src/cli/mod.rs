//! `lbctl`: arguments, calls of the API, and what is printed.

mod args;
mod commands;
mod config;
mod doctor;
mod drain;
mod failure;
mod health_args;
mod import;
mod render;
mod run;
#[cfg(test)]
mod tests;

pub use args::Args;
pub use failure::{Exit, Failure};
pub use run::run;
