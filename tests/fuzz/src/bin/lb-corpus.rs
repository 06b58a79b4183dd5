//! Corpora of fuzz targets, for `cargo xtask fuzz`: `lb-corpus list`, `lb-corpus unpack|pack TARGET DIRECTORY`, `lb-corpus words TARGET FILE`.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use lb_fuzz::{TARGETS, corpus};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let find = |name: &str| lb_fuzz::target(name).with_context(|| format!("no target is called {name:?}"));
    match words[..] {
        ["list"] => TARGETS.iter().for_each(|target| println!("{} {}", target.name, target.longest)),
        ["unpack", name, directory] => {
            println!("{name}: {} inputs", corpus::unpack(find(name)?, Path::new(directory))?);
        }
        ["pack", name, directory] => {
            println!("{name}: {} inputs are kept", corpus::pack(find(name)?, Path::new(directory))?);
        }
        // libFuzzer's form of a dictionary.
        ["words", name, file] => {
            let escaped =
                |word: &str| -> String { word.bytes().map(|byte| format!("\\x{byte:02x}")).collect() };
            let lines: String =
                find(name)?.words.iter().map(|word| format!("\"{}\"\n", escaped(word))).collect();
            std::fs::write(file, lines).context(file.to_owned())?;
        }
        _ => bail!(
            "usage: lb-corpus list | unpack TARGET DIRECTORY | pack TARGET DIRECTORY | words TARGET FILE"
        ),
    }
    Ok(())
}
