//! Target `config`: any text is refused or means a configuration; what that one is written as means the same, and writing it changes nothing.

use lb_userspace::config::Document;

use crate::Target;

/// See above.
pub const TARGET: Target = Target {
    name: "config",
    run,
    seeds,
    longest: 4096,
    words: &[
        "interfaces",
        "services",
        "backends",
        "health",
        "address",
        "protocol",
        "port",
        "name",
        "algorithm",
        "mode",
        "full-nat",
        "snat",
        "addresses",
        "vrrp",
        "replication",
        "weight",
        "max_connections",
        "affinity_timeout",
        "[[services]]",
        "[[services.backends]]",
        "[services.health]",
        "timeouts",
        "answers",
        "maglev",
        "type",
    ],
};

fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let document = Document::new("lb.toml", text);
    let config = match document.config() {
        Ok(config) => config,
        Err(error) => {
            assert!(error.to_string().contains("lb.toml"), "an error names the file: {error}");
            return;
        }
    };
    let written = Document::of("lb.toml", &config.draft());
    match written.config() {
        Ok(again) => {
            assert!(again == config, "it means something else once it is written:\n{}", written.text());
        }
        Err(error) => panic!("what it is written as is invalid: {error}\n{}", written.text()),
    }
    match document.updated(&config) {
        Ok(same) => assert_eq!(same.text(), text, "nothing changed, but the text did"),
        Err(error) => panic!("it cannot be written: {error}"),
    }
}

fn seeds() -> Vec<Vec<u8>> {
    [
        include_str!("../../../xtask/package/lb.toml"),
        include_str!("seeds/all.toml"),
        include_str!("../../../lb-userspace/src/import/tests/golden/keepalived-full.conf.toml"),
        include_str!("../../../lb-userspace/src/import/tests/golden/keepalived-vrrp.conf.toml"),
        include_str!("../../../lb-userspace/src/import/tests/golden/keepalived-checks.conf.toml"),
        include_str!("../../../lb-userspace/src/import/tests/golden/haproxy-full.cfg.toml"),
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
