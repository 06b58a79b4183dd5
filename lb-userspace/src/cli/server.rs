//! Which `lbd` the commands are for.

use super::{
    args::Args,
    failure::{Exit, Failure},
};
use crate::api::{Server, TlsError};

/// The daemon behind the socket, or the one that `--server` names.
pub(super) fn server(args: &Args) -> Result<Server, Failure> {
    let invalid = |message: &str| Err(Failure::new(Exit::Invalid, message));
    let Some(url) = args.server.clone() else {
        if args.ca.is_some() || args.cert.is_some() || args.key.is_some() {
            return invalid("--ca, --cert and --key have no meaning without --server");
        }
        return Ok(args.socket.clone().into());
    };
    let own = match (&args.cert, &args.key) {
        (Some(certificate), Some(key)) => Some((certificate.as_path(), key.as_path())),
        (None, None) => None,
        _ => return invalid("--cert and --key belong together; give both"),
    };
    match &args.ca {
        Some(authorities) => Ok(Server::remote(url, authorities, own)?),
        None if url.is_tls() => invalid(
            "--server https://... needs --ca FILE (who signed the certificate of lbd), and --cert FILE --key FILE (your own)",
        ),
        None => Ok(Server::plain(url)),
    }
}

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        Self::new(Exit::Invalid, error.to_string())
    }
}
