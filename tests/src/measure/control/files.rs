//! Files that are refused.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use lb_common::{
    abi::{ABI_VERSION, Backend, Service, ServiceKey},
    maps,
};
use lb_userspace::sys::bpf::Map;

use super::super::{Depth, Required, Row, number};
use super::Ground;
use crate::config::Mode;

/// What is replaced in the good file, by what, and words that the refusal must have beside the file's name.
const BAD: [(&str, &str, &str); 36] = [
    ("protocol = \"tcp\"", "protocol = \"tcp", "expected"),
    ("protocol = \"tcp\"", "protocol = tcp", "expected"),
    ("protocol = \"tcp\"", "protocol = \"sctp\"", "services[0].protocol"),
    ("protocol = \"tcp\"", "", "services[0].protocol"),
    ("protocol = \"tcp\"", "protocol = \"tcp\"\nprotocol = \"udp\"", "duplicate"),
    ("protocol = \"tcp\"", "protocol = [\"tcp\"]", "services[0].protocol"),
    ("port = 9000\nmode", "port = 70000\nmode", "services[0].port"),
    ("port = 9000\nmode", "port = -1\nmode", "services[0].port"),
    ("port = 9000\nmode", "port = \"http\"\nmode", "services[0].port"),
    ("port = 9000\nmode", "prt = 9000\nmode", "services[0].prt"),
    ("mode = \"nat\"", "mode = \"dsr\"", "services[0].mode"),
    ("mode = \"nat\"", "mode = \"full-nat\"", "services[0].snat_addresses"),
    ("mode = \"nat\"", "mode = \"nat\"\nsnat_addresses = [\"10.1.0.201\"]", "services[0].snat_addresses"),
    ("algorithm = \"maglev\"", "algorithm = \"magic\"", "services[0].algorithm"),
    ("algorithm = \"maglev\"", "slots = 100", "services[0].slots"),
    ("algorithm = \"maglev\"", "affinity_prefix = 24", "services[0].affinity_prefix"),
    ("name = \"echo\"", "name = \"\"", "services[0].name"),
    ("name = \"echo\"", "name = \"a b\"", "services[0].name"),
    ("address = \"203.0.113.100\"", "address = \"203.0.113.256\"", "services[0].address"),
    ("address = \"203.0.113.100\"", "address = \"0.0.0.0\"", "services[0].address"),
    ("address = \"203.0.113.100\"", "address = \"224.0.0.1\"", "services[0].address"),
    ("address = \"203.0.113.100\"", "address = \"2001:db8::1\"", "services[0].backends[0].address"),
    ("address = \"10.1.0.11\"", "address = \"127.0.0.1\"", "services[0].backends[0].address"),
    ("address = \"10.1.0.11\"", "address = \"169.254.1.1\"", "services[0].backends[0].address"),
    ("address = \"10.1.0.11\"", "address = \"224.1.2.3\"", "services[0].backends[0].address"),
    ("address = \"10.1.0.11\"", "address = \"203.0.113.100\"", "services[0].backends[0].address"),
    ("address = \"10.1.0.11\"", "address = \"10.1.0.12\"", "services[0].backends[1].address"),
    ("name = \"server-1\"", "name = \"server-2\"", "services[0].backends[1].name"),
    ("weight = 100", "weight = -1", "services[0].backends[0].weight"),
    ("weight = 100", "weight = 65536", "services[0].backends[0].weight"),
    ("weight = 100", "weight = 1.5", "services[0].backends[0].weight"),
    ("interval = \"200ms\"", "interval = \"0s\"", "services[0].health.interval"),
    ("interval = \"200ms\"", "interval = 200", "services[0].health.interval"),
    ("fall = 2", "fall = 0", "services[0].health.fall"),
    ("timeout = \"200ms\"", "timeout = \"300ms\"", "services[0].health.timeout"),
    ("interfaces = [\"eth0\", \"eth1\"]", "interfaces = []", "interfaces"),
];

pub(super) fn measure(_: Depth) -> Result<Vec<Row>> {
    let ground = Ground::start(2, 2, Mode::Nat, true)?;
    let file = ground.daemon.config_file();
    let good = fs::read(&file)?;
    let text = String::from_utf8(good.clone())?;
    let before = dump(&ground)?;
    let (mut accepted, mut silent, mut changed) = (0, 0, 0);
    let mut attempt = |what: &str, words: &[&str]| -> Result<()> {
        match ground.daemon.lbctl("config reload") {
            Ok(_) => {
                eprintln!("taken: {what}");
                accepted += 1;
            }
            Err(error) => {
                let said = format!("{error:#}");
                if let Some(word) = words.iter().find(|word| !said.contains(**word)) {
                    eprintln!("{what}: {word:?} is missing in: {said}");
                    silent += 1;
                }
            }
        }
        changed += u64::from(dump(&ground)? != before);
        Ok(())
    };
    for (part, bad, word) in BAD {
        if !text.contains(part) {
            bail!("the file has no {part:?}:\n{text}");
        }
        fs::write(&file, text.replacen(part, bad, 1))?;
        attempt(bad, &["lb.toml:", word])?;
    }
    let whole: [(&str, Vec<u8>); 2] = [
        ("not UTF-8", [b"# \xff\xfe\n", good.as_slice()].concat()),
        ("tables in tables", "[[a.".repeat(100_000).into_bytes()),
    ];
    for (what, bytes) in whole {
        fs::write(&file, bytes)?;
        attempt(what, &["lb.toml"])?;
    }
    fs::remove_file(&file)?;
    attempt("no file", &["lb.toml"])?;
    fs::create_dir(&file)?;
    attempt("a directory", &["lb.toml"])?;
    fs::remove_dir(&file)?;
    fs::write(&file, good)?;
    let again = ground.daemon.lbctl("config reload").context("the good file");
    let count = BAD.len() as f64 + 4.0;
    Ok(vec![
        Row::new("bad files", count, "files", Required::AtLeast(number(40))),
        Row::none("bad files: taken", accepted, "files"),
        Row::none("bad files: refused without file, position and reason", silent, "files"),
        Row::none("bad files: maps changed", changed, "files"),
        Row::succeeds("bad files: the good file afterwards", &again),
    ])
}

/// Entries of the maps of services and of backends.
#[derive(PartialEq)]
struct Dump {
    services: Vec<(ServiceKey<u32>, Service)>,
    backends: Vec<(u32, Backend)>,
}

/// What the maps of the desired state hold.
fn dump(ground: &Ground) -> Result<Dump> {
    let pins = ground.daemon.pin_directory().join(format!("v{ABI_VERSION}"));
    let open = |name: &str| Map::open(&Path::new(&pins).join(name)).with_context(|| name.to_owned());
    let mut services = open(maps::SERVICES_V4)?.entries()?;
    services.sort_by_key(|(key, _): &(ServiceKey<u32>, Service)| (key.addr, key.port, key.proto));
    Ok(Dump { services, backends: open(maps::BACKENDS)?.entries()? })
}
