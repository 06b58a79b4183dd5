//! Files: the number that they hold.

use std::{
    fs::OpenOptions,
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::Duration,
};

use super::Teller;
use crate::{
    model::TrackedFile,
    runtime::Clock,
    vrrp::{Reading, number_in, tracked_file},
};

/// Between two looks. What is written meanwhile in two steps is not believed: a number counts when it was read twice.
const READ_EVERY: Duration = Duration::from_millis(200);
/// Longest content.
const LONGEST: u64 = 64;

/// What a file said last.
struct Known {
    tracked: TrackedFile,
    read: Option<Result<Reading, String>>,
    is_first: bool,
}

/// Looks at the files again and again.
pub(super) async fn follow(files: Vec<TrackedFile>, clock: Clock, mut teller: Teller) {
    let mut known: Vec<Known> =
        files.into_iter().map(|tracked| Known { tracked, read: None, is_first: true }).collect();
    loop {
        let next = clock.now() + READ_EVERY;
        // A file system that does not answer must not stop anything else.
        let paths: Vec<_> = known.iter().map(|known| known.tracked.path.clone()).collect();
        let read =
            tokio::task::spawn_blocking(move || paths.iter().map(|path| read(path)).collect::<Vec<_>>());
        let Ok(read) = read.await else { return };
        for (known, read) in known.iter_mut().zip(read) {
            take(known, read, &mut teller);
        }
        clock.sleep_until(Some(next)).await;
    }
}

fn take(known: &mut Known, read: Result<Reading, String>, teller: &mut Teller) {
    let is_confirmed = known.read.as_ref() == Some(&read) || known.is_first;
    match &read {
        Ok(reading) if is_confirmed => {
            teller.tell(&tracked_file(&known.tracked), reading.clone());
            known.is_first = false;
        }
        Err(problem) if known.read.as_ref() != Some(&read) => {
            let path = known.tracked.path.display();
            tracing::error!(%path, problem, "VRRP tracks a file that says nothing: what it said before counts");
        }
        _ => {}
    }
    known.read = Some(read);
}

/// What a file says; one that does not exist says 0.
fn read(path: &Path) -> Result<Reading, String> {
    let mut content = Vec::new();
    // A FIFO without a writer would keep us waiting.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    match file.and_then(|file| file.take(LONGEST + 1).read_to_end(&mut content)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Reading::Number(0)),
        Err(error) => return Err(format!("it cannot be read: {error}")),
    }
    let number = number_in(&content).filter(|_| content.len() as u64 <= LONGEST);
    number.ok_or_else(|| "it holds something else than a number, up or down".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_a_number_up_or_down_and_nothing_is_0() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("weight");
        assert_eq!(read(&path), Ok(Reading::Number(0)), "it does not exist");
        for (content, expected) in [
            ("", Some(Reading::Number(0))),
            ("up\n", Some(Reading::Number(0))),
            (" -50 \n", Some(Reading::Number(-50))),
            ("down", Some(Reading::Missing("it says down".into()))),
            ("1.5", None),
            ("99999999999", None),
        ] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(read(&path).ok(), expected, "{content:?}");
        }
        std::fs::write(&path, " ".repeat(70) + "1").unwrap();
        assert!(read(&path).is_err(), "more than is looked at");
        assert!(read(directory.path()).is_err(), "a directory");
    }
}
