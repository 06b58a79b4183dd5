//! From facts to findings.

mod daemon;
mod host;
mod interface;
mod veth;
mod way;

pub(super) use self::way::backends;
use super::facts::Facts;
use super::finding::{CHECKS, CONFIG, Finding, NETLINK};
use crate::model::Config;

/// Judges what was found; in the order of [`CHECKS`], then as configured.
#[must_use]
pub fn diagnose(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    config(facts, &mut findings);
    host::diagnose(facts, &mut findings);
    daemon::diagnose(facts, &mut findings);
    netlink(facts, &mut findings);
    interface::diagnose(facts, &mut findings);
    way::diagnose(facts, &mut findings);
    let place = |finding: &Finding| CHECKS.iter().position(|check| check.id == finding.id);
    findings.sort_by_key(place);
    findings
}

fn config(facts: &Facts, findings: &mut Vec<Finding>) {
    let file = facts.config_file.display().to_string();
    findings.extend(facts.config.as_ref().map(|config| match config {
        Ok(config) => CONFIG.ok(&file, format!("valid; services: {}", config.services.len())),
        Err(reason) => CONFIG.error(&file, reason.as_str(), format!("lbctl config check {file}")),
    }));
}

fn netlink(facts: &Facts, findings: &mut Vec<Finding>) {
    findings.extend(facts.netlink.as_ref().map(|asked| match asked {
        Ok(()) => NETLINK.ok("", "the kernel answers"),
        Err(reason) => NETLINK.warning("", format!("the kernel could not be asked: {reason}"), ""),
    }));
}

/// The configuration, if it is valid.
fn valid(facts: &Facts) -> Option<&Config> {
    facts.config.as_ref()?.as_ref().ok()
}

/// Whether something of the configuration is of a family.
fn has_family(facts: &Facts, v4: bool) -> bool {
    valid(facts).is_some_and(|config| config.services.iter().any(|service| service.address.is_ipv4() == v4))
}
