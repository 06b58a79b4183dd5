//! What is written down beside the configuration file: `lb.toml.state`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::control::{Block, Deadline, Notes, Unconfirmed};
use crate::model::{BackendName, ServiceName};

/// Tells one boot of the machine from another.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The file's content.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    /// Since when the times since boot count.
    boot_id: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    drains: Vec<DrainNote>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ramps: Vec<RampNote>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unconfirmed: Option<UnconfirmedNote>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    blocks: Vec<BlockNote>,
}

#[derive(Debug, Serialize, Deserialize)]
struct BlockNote {
    prefix: IpNet,
    since: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<DeadlineNote>,
}

#[derive(Debug, Serialize, Deserialize)]
struct DeadlineNote {
    until: String,
    boot_milliseconds: u64,
    longest_milliseconds: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct DrainNote {
    service: String,
    backend: String,
    until: String,
    boot_milliseconds: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct RampNote {
    service: String,
    backend: String,
    boot_milliseconds: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct UnconfirmedNote {
    until: String,
    boot_milliseconds: u64,
    longest_milliseconds: u64,
    digest: u64,
}

/// Reads the notes at a path; none if there is no such file. Times since another boot are left out.
pub(super) fn read(path: &Path) -> io::Result<Notes> {
    let content = match fs::read(path) {
        Ok(bytes) => serde_json::from_slice::<Content>(&bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Notes::default()),
        Err(error) => return Err(error),
    };
    let same_boot = content.boot_id == boot_id();
    let mut drains = BTreeMap::new();
    for note in content.drains.into_iter().filter(|_| same_boot) {
        let (service, backend) = (ServiceName::new(note.service), BackendName::new(note.backend));
        if let (Ok(service), Ok(backend), Ok(until)) = (service, backend, note.until.parse()) {
            drains.insert((service, backend, until), Duration::from_millis(note.boot_milliseconds));
        }
    }
    let ramps = content.ramps.into_iter().filter(|_| same_boot).filter_map(|note| {
        let key = (ServiceName::new(note.service).ok()?, BackendName::new(note.backend).ok()?);
        Some((key, Duration::from_millis(note.boot_milliseconds)))
    });
    let ramps = ramps.collect();
    let unconfirmed = content.unconfirmed.map(|note| {
        let wall = note.until.parse().map_err(io::Error::other)?;
        let deadline = Deadline {
            wall,
            boot: same_boot.then_some(Duration::from_millis(note.boot_milliseconds)),
            longest: Duration::from_millis(note.longest_milliseconds),
        };
        io::Result::Ok(Unconfirmed { deadline, digest: note.digest })
    });
    let blocks = content.blocks.into_iter().map(|note| block(note, same_boot)).collect::<io::Result<_>>()?;
    Ok(Notes { drains, ramps, unconfirmed: unconfirmed.transpose()?, blocks: Arc::new(blocks) })
}

fn block(note: BlockNote, same_boot: bool) -> io::Result<(IpNet, Block)> {
    let until = note.until.map(|until| {
        Ok::<_, io::Error>(Deadline {
            wall: until.until.parse().map_err(io::Error::other)?,
            boot: same_boot.then_some(Duration::from_millis(until.boot_milliseconds)),
            longest: Duration::from_millis(until.longest_milliseconds),
        })
    });
    let since = note.since.parse().map_err(io::Error::other)?;
    Ok((note.prefix, Block { since, until: until.transpose()?, reason: note.reason }))
}

fn block_note((prefix, block): (&IpNet, &Block)) -> BlockNote {
    let until = block.until.map(|deadline| DeadlineNote {
        until: deadline.wall.to_string(),
        boot_milliseconds: milliseconds(deadline.boot.unwrap_or_default()),
        longest_milliseconds: milliseconds(deadline.longest),
    });
    BlockNote { prefix: *prefix, since: block.since.to_string(), reason: block.reason.clone(), until }
}

/// Writes the notes at a path, atomically and for good; no file if there are none.
pub(super) fn write(path: &Path, notes: &Notes) -> io::Result<()> {
    if *notes == Notes::default() {
        return put(path, None);
    }
    let drains = notes.drains.iter().map(|((service, backend, until), boot)| DrainNote {
        service: service.to_string(),
        backend: backend.to_string(),
        until: until.to_string(),
        boot_milliseconds: milliseconds(*boot),
    });
    let ramps = notes.ramps.iter().map(|((service, backend), boot)| RampNote {
        service: service.to_string(),
        backend: backend.to_string(),
        boot_milliseconds: milliseconds(*boot),
    });
    let unconfirmed = notes.unconfirmed.map(|Unconfirmed { deadline, digest }| UnconfirmedNote {
        until: deadline.wall.to_string(),
        boot_milliseconds: milliseconds(deadline.boot.unwrap_or_default()),
        longest_milliseconds: milliseconds(deadline.longest),
        digest,
    });
    let content = Content {
        boot_id: boot_id(),
        drains: drains.collect(),
        ramps: ramps.collect(),
        unconfirmed,
        blocks: notes.blocks.iter().map(block_note).collect(),
    };
    let few = content.blocks.len() < 1000;
    let text = if few { serde_json::to_string_pretty(&content)? } else { serde_json::to_string(&content)? };
    put(path, Some(text + "\n"))
}

/// Makes a text the content of a file, atomically and for good; `None`: there is to be no file.
pub(super) fn put(path: &Path, text: Option<String>) -> io::Result<()> {
    let Some(text) = text else {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => sync_directory(path),
        };
    };
    let temporary = with_suffix(path, ".new");
    let mut file = File::create(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_directory(path)
}

/// Digest of a text (FNV-1a), to see whether a file still holds it.
pub(super) fn digest(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |digest, byte| (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A path with something behind its last part.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

/// Makes a rename or removal beside `path` survive a power failure.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn boot_id() -> String {
    fs::read_to_string(BOOT_ID).map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn notes() -> Notes {
        let until = Timestamp::since_epoch(Duration::from_millis(1_795_389_000_250));
        let key = ("web".parse().unwrap(), "b1".parse().unwrap(), until);
        let boot = Duration::from_millis(12_345);
        let deadline = Deadline { wall: until, boot: Some(boot), longest: Duration::from_secs(60) };
        let unconfirmed = Some(Unconfirmed { deadline, digest: u64::MAX });
        let ramps = [(("web".parse().unwrap(), "b2".parse().unwrap()), boot)].into();
        let blocks = [
            ("203.0.113.0/24", Block { since: until, until: Some(deadline), reason: "scans".to_owned() }),
            ("2001:db8::/48", Block { since: until, until: None, reason: String::new() }),
        ];
        let blocks = blocks.map(|(prefix, block)| (prefix.parse().unwrap(), block)).into();
        Notes { drains: [(key, boot)].into(), ramps, unconfirmed, blocks: Arc::new(blocks) }
    }

    #[test]
    fn what_is_noted_is_read_again_and_nothing_is_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lb.toml.state");
        assert_eq!(read(&path).unwrap(), Notes::default());
        write(&path, &notes()).unwrap();
        assert_eq!(read(&path).unwrap(), notes());
        write(&path, &Notes::default()).unwrap();
        write(&path, &Notes::default()).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn after_another_boot_only_the_wall_clock_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lb.toml.state");
        write(&path, &notes()).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace(&boot_id(), "another")).unwrap();
        let found = read(&path).unwrap();
        assert!(found.drains.is_empty() && found.ramps.is_empty());
        let of_block = found.blocks.values().find_map(|block| block.until).unwrap();
        assert_eq!(of_block.boot, None);
        let deadline = found.unconfirmed.unwrap().deadline;
        assert_eq!(deadline, Deadline { boot: None, ..notes().unconfirmed.unwrap().deadline });
    }

    #[test]
    fn a_file_that_is_not_understood_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lb.toml.state");
        fs::write(&path, "{").unwrap();
        assert!(read(&path).is_err());
    }
}
