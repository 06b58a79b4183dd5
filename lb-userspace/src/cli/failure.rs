//! Errors and exit codes of `lbctl`.

use std::process::ExitCode;

use hyper::StatusCode;

use crate::api::ClientError;

/// How `lbctl` ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It failed in a way that none of the others names.
    General = 1,
    /// The input is invalid.
    Invalid = 2,
    /// Something named in it is not there.
    NotFound = 3,
    /// It contradicts what is there.
    Conflict = 4,
    /// The daemon cannot be reached, or does not serve this user.
    Unreachable = 5,
    /// Nothing failed, but the answer is no: files differ, flows are left.
    Negative = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Class.
    pub exit: Exit,
    /// What happened and what to do; empty: what is printed says it.
    pub message: String,
    /// What is printed on the standard output nevertheless.
    pub printed: String,
}

impl Failure {
    /// A failure of a class.
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), printed: String::new() }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::Connect(_) => Exit::Unreachable,
            ClientError::Protocol { .. } => Exit::General,
            ClientError::Refused { status, .. } => match *status {
                StatusCode::NOT_FOUND => Exit::NotFound,
                StatusCode::CONFLICT => Exit::Conflict,
                StatusCode::FORBIDDEN => Exit::Unreachable,
                status if status.is_client_error() => Exit::Invalid,
                _ => Exit::General,
            },
        };
        Self::new(exit, error.to_string())
    }
}
