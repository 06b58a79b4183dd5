//! Target `import`: any text gives a configuration that is valid, or is of no known format. The first byte says which format it is taken for, and
//! what else is known.

use std::io;

use lb_userspace::import::{Files, Format, ImportError, Options, import};

use crate::{Target, input::Input};

/// See above.
pub const TARGET: Target = Target {
    name: "import",
    run,
    seeds,
    longest: 4096,
    words: &[
        "virtual_server",
        "real_server",
        "vrrp_instance",
        "virtual_ipaddress",
        "vrrp_sync_group",
        "HTTP_GET",
        "TCP_CHECK",
        "SSL_GET",
        "MISC_CHECK",
        "DNS_CHECK",
        "PING_CHECK",
        "include ",
        "@main ",
        "~SEQ(",
        "$VAR=",
        "lb_kind NAT",
        "lvs_method",
        "frontend ",
        "backend ",
        "listen ",
        "defaults ",
        "server ",
        "bind ",
        "option httpchk",
        "http-check expect",
        "default-server",
        "-A -t ",
        "-a -t ",
        " -r ",
        " -m -w ",
        "balance ",
        "use_backend",
        "default_backend",
    ],
};

/// Files that are included: two of them, and a directory.
#[derive(Debug)]
struct Included;

impl Files for Included {
    fn read(&self, path: &str) -> io::Result<String> {
        match path.rsplit('/').next() {
            Some("a.conf") => {
                Ok("virtual_server 203.0.113.1 80 {\n real_server 10.0.0.1 80 {\n }\n}\n".to_owned())
            }
            Some("b.conf") => Ok("include b.conf\ninclude a.conf\n".to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn list(&self, _: &str) -> io::Result<Vec<String>> {
        Ok(vec!["a.conf".to_owned(), "b.conf".to_owned()])
    }
}

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let choice = input.byte();
    let text = String::from_utf8_lossy(input.rest());
    let format = [None, Some(Format::Ipvsadm), Some(Format::Keepalived), Some(Format::Haproxy)]
        [usize::from(choice & 3)];
    let options = Options {
        vip: (choice & 4 != 0).then(|| [203, 0, 113, 80].into()),
        snat_addresses: if choice & 8 != 0 { vec![[10, 0, 0, 2].into()] } else { Vec::new() },
        config_id: (choice & 16 != 0).then(|| "main".to_owned()),
        ..Options::default()
    };
    match import("input", &text, format, &Included, &options) {
        Ok(_) => {}
        Err(ImportError::NotText { .. }) => assert!(text.contains('\0')),
        Err(ImportError::UnknownFormat { .. }) => assert_eq!(format, None),
        Err(error) => panic!("{error}"),
    }
}

fn seeds() -> Vec<Vec<u8>> {
    macro_rules! samples {
        ($($format:literal $name:literal),+ $(,)?) => {
            [$(($format, include_str!(concat!("../../../lb-userspace/src/import/tests/golden/", $name)))),+]
        };
    }
    samples![
        1 "ipvsadm-many.rules", 1 "ipvsadm-nat.rules",
        2 "keepalived-broken.conf", 2 "keepalived-checks.conf", 2 "keepalived-full.conf", 2 "keepalived-groups.conf",
        2 "keepalived-included.conf", 2 "keepalived-included6.conf", 2 "keepalived-vrrp.conf", 2 "keepalived-web.conf",
        3 "haproxy-checks.cfg", 3 "haproxy-full.cfg", 3 "haproxy-refused.cfg", 3 "haproxy-tcp.cfg",
    ]
    .into_iter()
    .flat_map(|(format, text)| [format, format | 12, 0].map(|choice| [&[choice], text.as_bytes()].concat()))
    .collect()
}
