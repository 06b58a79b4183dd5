//! The pin directory and the file system it is on.

use std::fs;
use std::path::{Path, PathBuf};

use lb_common::abi::ABI_VERSION;

use crate::doctor::facts::{Mount, Pins};
use crate::loader::PinDirectory;
use crate::sys::bpf::pinned_xdp_link;

pub(super) fn inspect(directory: &Path) -> Pins {
    let existing = directory.ancestors().find_map(|path| path.canonicalize().ok());
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    Pins {
        directory: directory.to_owned(),
        mount: existing.and_then(|path| mount_of(&path, &table)),
        versions: versions(directory),
        own_version: ABI_VERSION,
    }
}

/// The mount that a path is on, by `/proc/self/mountinfo`.
fn mount_of(path: &Path, table: &str) -> Option<Mount> {
    let mut best: Option<Mount> = None;
    for line in table.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let mut left = left.split(' ').skip(4);
        let (Some(point), Some(options)) = (left.next(), left.next()) else { continue };
        let mut right = right.split(' ');
        let (kind, super_options) = (right.next().unwrap_or_default(), right.nth(1).unwrap_or_default());
        let point = unescaped(point);
        // Of two mounts at one place the later one is seen.
        if path.starts_with(&point) && best.as_ref().is_none_or(|best| point.starts_with(&best.point)) {
            let read_only =
                [options, super_options].iter().any(|list| list.split(',').any(|word| word == "ro"));
            best = Some(Mount { point, bpf: kind == "bpf", read_only });
        }
    }
    best
}

/// A path of `/proc/self/mountinfo`, in which spaces and the like are octal numbers.
fn unescaped(text: &str) -> PathBuf {
    let mut path = text.to_owned();
    for (escaped, c) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        path = path.replace(escaped, c);
    }
    PathBuf::from(path)
}

fn versions(directory: &Path) -> Option<Vec<u32>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Some(Vec::new()),
        Err(_) => return None,
    };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut versions: Vec<u32> = names.filter_map(|name| name.strip_prefix('v')?.parse().ok()).collect();
    versions.sort_unstable();
    Some(versions)
}

/// Whether a program on an interface is one that is pinned for it. What may not be looked at is taken to be ours.
pub(super) fn is_ours(pins: &Pins, interface: &str, program: u32) -> bool {
    let own = PinDirectory::new(&pins.directory).link(interface);
    let name = own.file_name().unwrap_or_default();
    let mut places = vec![own.clone()];
    let others = pins.versions.iter().flatten();
    places.extend(others.map(|version| pins.directory.join(format!("v{version}")).join(name)));
    places.iter().any(|place| match pinned_xdp_link(place) {
        Ok(link) => link.program == program,
        Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_on_the_innermost_and_latest_mount() {
        let table = "22 1 0:20 / / rw,relatime - ext4 /dev/sda1 rw\n\
                     23 22 0:21 / /sys rw - sysfs sysfs rw\n\
                     24 23 0:22 / /sys/fs/bpf rw shared:7 - bpf bpf rw,mode=700\n\
                     25 23 0:23 / /sys/fs/bpf ro - bpf bpf rw\n\
                     26 22 0:24 / /a\\040b rw - bpf bpf ro\n";
        let mount = |path: &str| mount_of(Path::new(path), table).unwrap();
        assert_eq!(
            mount("/sys/fs/bpf/lb"),
            Mount { point: "/sys/fs/bpf".into(), bpf: true, read_only: true }
        );
        assert_eq!(mount("/sys/fs"), Mount { point: "/sys".into(), bpf: false, read_only: false });
        assert_eq!(mount("/a b/c"), Mount { point: "/a b".into(), bpf: true, read_only: true });
        assert_eq!(mount("/home").point, Path::new("/"));
    }
}
