//! Samples in `golden/`: the input, the configuration and the report that come of it. `LB_UPDATE_GOLDEN=1` writes the latter two anew.

use std::path::{Path, PathBuf};
use std::{env, fs};

use super::super::{Disk, Format, Options, import};

/// Samples, with the options they are imported with.
fn samples() -> Vec<(&'static str, Options)> {
    let interfaces = || vec!["eth0".parse().unwrap(), "eth1".parse().unwrap()];
    let plain = || Options { interfaces: interfaces(), ..Options::default() };
    vec![
        ("ipvsadm-nat.rules", plain()),
        ("ipvsadm-many.rules", Options::default()),
        ("keepalived-web.conf", plain()),
        ("keepalived-full.conf", Options::default()),
        ("keepalived-groups.conf", Options { config_id: Some("main".to_owned()), ..Options::default() }),
        ("keepalived-broken.conf", plain()),
        ("keepalived-vrrp.conf", Options::default()),
        ("keepalived-checks.conf", plain()),
        ("haproxy-tcp.cfg", plain()),
        ("haproxy-refused.cfg", Options::default()),
        ("haproxy-checks.cfg", plain()),
        (
            "haproxy-full.cfg",
            Options {
                vip: "203.0.113.80".parse().ok(),
                snat_addresses: vec!["10.0.0.2".parse().unwrap(), "fd00::2".parse().unwrap()],
                ..plain()
            },
        ),
    ]
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/import/tests/golden")
}

#[test]
fn every_sample_gives_the_configuration_and_the_report_beside_it() {
    for (name, options) in samples() {
        let path = golden().join(name);
        let text = fs::read_to_string(&path).unwrap();
        // Relative, so that the report does not depend on where the sources are; includes are beside the sample.
        let files = Beside(golden());
        let imported = import(name, &text, None, &files, &options).unwrap();
        let report: String = imported.notes.iter().map(|note| format!("{note}\n")).collect();
        compare(&golden().join(format!("{name}.toml")), &imported.config);
        compare(&golden().join(format!("{name}.report")), &report);
    }
}

/// Files as seen from a directory.
struct Beside(PathBuf);

impl super::Files for Beside {
    fn read(&self, path: &str) -> std::io::Result<String> {
        Disk.read(self.0.join(path).to_str().unwrap())
    }

    fn list(&self, directory: &str) -> std::io::Result<Vec<String>> {
        Disk.list(self.0.join(directory).to_str().unwrap())
    }
}

fn compare(path: &Path, found: &str) {
    if env::var_os("LB_UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::write(path, found).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(found, expected, "{}; LB_UPDATE_GOLDEN=1 writes it anew", path.display());
}

#[test]
fn the_format_of_every_sample_is_found() {
    for (name, _) in samples() {
        let text = fs::read_to_string(golden().join(name)).unwrap();
        let expected = name.split('-').next().unwrap();
        assert_eq!(Format::detect(&text).map(Format::as_str), Some(expected), "{name}");
    }
}
