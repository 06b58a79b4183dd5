//! The rules of the API over TCP.

use std::path::Path as FilePath;

use super::{Found, absolute};
use crate::model::{ApiTcp, Path, Problem};

/// All that is wrong: TLS with certificates on both sides, or loopback and explicitly without.
pub(super) fn check(tcp: &ApiTcp, found: &mut Found) {
    let path = |key: &str| Path::root().key("api").key(key);
    let files = [
        ("tls_certificate", &tcp.tls_certificate),
        ("tls_key", &tcp.tls_key),
        ("tls_client_ca", &tcp.tls_client_ca),
    ];
    for (key, file) in files {
        if let Some(file) = file {
            absolute(file, path(key), found);
        }
    }
    let given = files.iter().filter(|(_, file)| file.is_some()).count();
    let Some(listen) = tcp.listen else {
        let meaningless = || Problem::Meaningless { when: "without `api.listen`".to_owned() };
        for (key, file) in files {
            if let Some(file) = file {
                found.add(path(key), shown(file), meaningless());
            }
        }
        if tcp.plain_http {
            found.add(path("plain_http"), true, meaningless());
        }
        return;
    };
    match given {
        3 if tcp.plain_http => {
            let problem = Problem::Meaningless { when: "with TLS".to_owned() };
            found.add(path("plain_http"), true, problem);
        }
        3 => {}
        0 if !listen.ip().is_loopback() => {
            let expected =
                "`tls_certificate`, `tls_key` and `tls_client_ca`, or a loopback address".to_owned();
            found.add(path("listen"), listen, Problem::Not { what: "served without TLS", expected });
        }
        0 if !tcp.plain_http => {
            let expected = "`tls_certificate`, `tls_key` and `tls_client_ca`, or `plain_http = true`, which lets every local user \
                            control `lbd`";
            let problem =
                Problem::Not { what: "served without TLS unless you say so", expected: expected.to_owned() };
            found.add(path("listen"), listen, problem);
        }
        0 => {}
        _ => {
            for (key, _) in files.iter().filter(|(_, file)| file.is_none()) {
                let why = "TLS needs a certificate, its key and the authority of the clients";
                found.add(path(key), "", Problem::Missing { why, expected: "a path" });
            }
        }
    }
}

fn shown(file: &FilePath) -> String {
    format!("{:?}", file.display().to_string())
}
