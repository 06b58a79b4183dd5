//! The daemon and what it pins.

use super::valid;
use crate::doctor::facts::{Answer, Facts, Pins};
use crate::doctor::finding::{BPFFS, DAEMON, Finding, OPEN_FILES, PINS};

/// Files that lbd needs beside those of checks.
const OTHER_FILES: u64 = 256;
/// Most files that checks need at once, whatever the number of backends.
const MOST_CHECKS: u64 = 65_536;

pub(super) fn diagnose(facts: &Facts, findings: &mut Vec<Finding>) {
    mount(&facts.pins, findings);
    versions(facts, findings);
    running(facts, findings);
    open_files(facts, findings);
}

fn mount(pins: &Pins, findings: &mut Vec<Finding>) {
    let directory = pins.directory.display().to_string();
    let Some(mount) = &pins.mount else {
        return findings.push(BPFFS.note(&directory, "its mount could not be found out", ""));
    };
    let point = mount.point.display();
    findings.push(match (mount.bpf, mount.read_only) {
        (true, false) => BPFFS.ok(&directory, format!("on the BPF file system at {point}")),
        (true, true) => {
            let found = format!("the BPF file system at {point} is read-only");
            BPFFS.error(&directory, found, format!("mount -o remount,rw {point}"))
        }
        (false, _) if pins.directory.starts_with("/sys/fs/bpf") => {
            BPFFS.error(&directory, "no BPF file system is mounted there", "mount -t bpf bpf /sys/fs/bpf")
        }
        (false, _) => {
            let parent = pins.directory.parent().unwrap_or(&pins.directory).display();
            let fix = format!("mkdir -p {parent} && mount -t bpf bpf {parent}");
            BPFFS.error(&directory, "no BPF file system is mounted there", fix)
        }
    });
}

fn versions(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(versions) = &facts.pins.versions else { return };
    let directory = facts.pins.directory.display();
    let own = facts.pins.own_version;
    for version in versions.iter().filter(|version| **version != own) {
        let place = format!("{directory}/v{version}");
        let found = format!("layout version {version} is pinned; this lbctl has {own}");
        findings.push(if *version > own {
            PINS.warning(&place, found, "lbctl --version && lbd --version")
        } else {
            PINS.note(&place, found, format!("rm -r {place}"))
        });
    }
    if versions.iter().all(|version| *version == own) {
        let found = if versions.is_empty() {
            "nothing is pinned".to_owned()
        } else {
            format!("layout version {own}")
        };
        findings.push(PINS.ok(&directory.to_string(), found));
    }
}

fn running(facts: &Facts, findings: &mut Vec<Finding>) {
    let answer = match &facts.daemon.answer {
        None => return,
        Some(Err(reason)) => {
            let pinned = facts.pins.versions.as_ref().is_some_and(|versions| !versions.is_empty());
            let found = format!("it does not answer: {reason}");
            return findings.push(if pinned {
                DAEMON.error("lbd", format!("{found}; what it pinned is still there"), "systemctl start lbd")
            } else {
                DAEMON.warning("lbd", found, "systemctl start lbd")
            });
        }
        Some(Ok(answer)) => answer,
    };
    let before = findings.len();
    state(answer, findings);
    if findings.len() == before {
        let found = format!("version {}, running for {} s", answer.version, answer.uptime_seconds);
        findings.push(DAEMON.ok("lbd", found));
    }
}

fn state(answer: &Answer, findings: &mut Vec<Finding>) {
    if let Some(problem) = &answer.problem {
        let found = format!("the maps do not hold the desired state: {problem}");
        findings.push(DAEMON.error("lbd", found, "journalctl -u lbd -n 50"));
    }
    if !answer.restart_needed.is_empty() {
        let found = format!("new values wait for a restart: {}", answer.restart_needed.join(", "));
        findings.push(DAEMON.warning("lbd", found, "systemctl restart lbd"));
    }
    if answer.unsaved_changes {
        let found = "there are changes that are not in the configuration file";
        findings.push(DAEMON.note("lbd", found, "lbctl config reload"));
    }
}

fn open_files(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some(limit), Some(config)) = (facts.daemon.open_files, valid(facts)) else { return };
    let checked = config.services.iter().filter(|service| service.health.is_some());
    let backends: usize = checked.map(|service| service.backends.len()).sum();
    let needed = u64::try_from(backends).unwrap_or(u64::MAX).min(MOST_CHECKS) + OTHER_FILES;
    let found = format!("lbd may open {limit} files, {backends} backends are checked");
    if limit < needed {
        let fix = format!(
            "mkdir -p /etc/systemd/system/lbd.service.d && printf '[Service]\\nLimitNOFILE={}\\n' > \
             /etc/systemd/system/lbd.service.d/files.conf && systemctl daemon-reload && systemctl restart lbd",
            needed.next_power_of_two()
        );
        findings.push(OPEN_FILES.warning("lbd", found, fix));
    } else {
        findings.push(OPEN_FILES.ok("lbd", found));
    }
}
