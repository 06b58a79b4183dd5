//! Whole inputs.

mod golden;
mod random;

use std::io;

use super::{Files, Format, Imported, Options, import};

/// Files in memory.
struct Memory(&'static [(&'static str, &'static str)]);

impl Files for Memory {
    fn read(&self, path: &str) -> io::Result<String> {
        let found = self.0.iter().find(|(name, _)| *name == path);
        found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let prefix = format!("{directory}/");
        Ok(self.0.iter().filter_map(|(name, _)| name.strip_prefix(&prefix)).map(str::to_owned).collect())
    }
}

fn imported(from: Format, text: &str, options: &Options) -> Imported {
    import("input", text, Some(from), &Memory(&[]), options).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn an_input_that_is_not_text_is_refused_with_its_line() {
    let text = "vrrp_script check {\n    script \"/usr/bin/true\0\"\n}\n";
    let error = import("a.conf", text, None, &super::Disk, &Options::default()).unwrap_err();
    assert_eq!(error.to_string(), "a.conf:2: a NUL byte; expected text in UTF-8");
}

#[test]
fn lines_that_come_of_themselves_end_at_a_limit_that_is_reported() {
    let text = "$NAME=LOOP\n$LOOP= \\\nweight 1 \\\n${$NAME} \\\n${$NAME}\n$LOOP\n";
    let imported = imported(Format::Keepalived, text, &Options::default());
    let limit = "the parameters in the file come to more than 100000 lines";
    assert!(imported.notes.iter().any(|note| note.message.contains(limit)));
    assert!(imported.config.len() < 32 << 20, "{}", imported.config.len());
}
