//! What instances track: `vrrp_script`, `vrrp_track_file`, and the blocks that name them.

use std::path::PathBuf;
use std::time::Duration;

use super::tree::Node;
use super::vrrp::seconds;
use crate::import::names::Names;
use crate::import::report::{Id, Ledger};
use crate::model::{
    InterfaceName, RouterName, SCRIPT_USER, ScriptProbe, Track, TrackedFile, TrackedInterface, TrackedScript,
};

/// What a block defines.
#[derive(Clone, Debug)]
enum Thing {
    Script(TrackedScript),
    File(TrackedFile),
}

/// A block that defines something, and what became of it.
#[derive(Debug)]
struct Definition<'a> {
    node: &'a Node,
    made: Result<Thing, &'static str>,
    /// What means something else.
    changes: Vec<(Id, &'static str)>,
    /// What is left out.
    unknown: Vec<&'a Node>,
    is_used: bool,
}

/// All that is defined, to be tracked by name.
#[derive(Debug, Default)]
pub(super) struct Definitions<'a>(Vec<Definition<'a>>);

/// What means something else, and what is left out.
type Remarks<'r, 'a> = (&'r mut Vec<(Id, &'static str)>, &'r mut Vec<&'a Node>);

const REVERSE: &str = "a weight that is reversed has no counterpart";

/// Whether a block defines something that can be tracked.
pub(super) fn is_definition(node: &Node) -> bool {
    matches!(node.word(0), "vrrp_script" | "vrrp_track_file" | "track_file")
}

impl<'a> Definitions<'a> {
    /// All in a file.
    pub(super) fn read(nodes: &'a [Node]) -> Self {
        let mut names = Names::default();
        let globals = nodes.iter().filter(|node| node.word(0) == "global_defs").flat_map(Node::children);
        let user = globals.rev().find(|child| child.word(0) == "script_user").map(|child| child.word(1));
        let read = |node: &'a Node| {
            let (mut changes, mut unknown) = (Vec::new(), Vec::new());
            let made = if node.word(0) == "vrrp_script" {
                script(node, user, &mut names, (&mut changes, &mut unknown)).map(Thing::Script)
            } else {
                file(node, (&mut changes, &mut unknown)).map(Thing::File)
            };
            Definition { node, made, changes, unknown, is_used: false }
        };
        Self(nodes.iter().filter(|node| is_definition(node)).map(read).collect())
    }

    /// Reads a block of an instance or group that tracks something; false: it is no such block.
    pub(super) fn track(&mut self, node: &Node, track: &mut Track, ledger: &mut Ledger) -> bool {
        let is_interface = match node.word(0) {
            "track_interface" => true,
            "track_script" | "track_file" => false,
            _ => return false,
        };
        ledger.used(node.id);
        for child in node.children() {
            let read = if is_interface { interface(child, track) } else { self.named(child, track, ledger) };
            match read {
                Ok(()) => ledger.used(child.id),
                Err(message) => ledger.dropped(child.id, message),
            }
        }
        true
    }

    /// One that is named.
    fn named(&mut self, node: &Node, track: &mut Track, ledger: &mut Ledger) -> Result<(), String> {
        let (name, weight) = (node.word(0), weight(node.arguments())?);
        let is_it = |definition: &&mut Definition<'_>| definition.node.word(1) == name;
        let definition = self.0.iter_mut().find(is_it).ok_or("there is no such definition")?;
        definition.account(ledger);
        match definition.made.clone()? {
            Thing::Script(mut script) => {
                script.weight = weight.unwrap_or(script.weight);
                if !track.scripts.iter().any(|other| other.name == script.name) {
                    track.scripts.push(script);
                }
            }
            Thing::File(mut file) => {
                file.weight = weight.unwrap_or(file.weight);
                if !track.files.iter().any(|other| other.path == file.path) {
                    track.files.push(file);
                }
            }
        }
        Ok(())
    }

    /// Reports those that nothing tracks.
    pub(super) fn finish(self, ledger: &mut Ledger) {
        for definition in self.0.iter().filter(|definition| !definition.is_used) {
            let node = definition.node;
            ledger.dropped_block(node.id, node.inside(), "no instance tracks it");
        }
    }
}

impl Definition<'_> {
    /// Says what became of it, once.
    fn account(&mut self, ledger: &mut Ledger) {
        if std::mem::replace(&mut self.is_used, true) {
            return;
        }
        if let Err(message) = self.made {
            return ledger.dropped_block(self.node.id, self.node.inside(), message);
        }
        ledger.used(self.node.id);
        self.node.inside().into_iter().for_each(|id| ledger.used(id));
        for (id, message) in &self.changes {
            ledger.changed(*id, *message);
        }
        for node in &self.unknown {
            ledger.dropped_block(node.id, node.inside(), "this has no counterpart");
        }
    }
}

fn interface(node: &Node, track: &mut Track) -> Result<(), String> {
    let interface = InterfaceName::new(node.word(0)).map_err(|error| error.to_string())?;
    let weight = weight(node.arguments())?.unwrap_or_default();
    if !track.interfaces.iter().any(|other| other.interface == interface) {
        track.interfaces.push(TrackedInterface { interface, weight });
    }
    Ok(())
}

/// `weight N`, or nothing.
fn weight(words: &[String]) -> Result<Option<i16>, String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [] => Ok(None),
        ["weight", number] => match number.parse() {
            Ok(number @ -254..=254) => Ok(Some(number)),
            _ => Err("a weight is -253 to 253".to_owned()),
        },
        ["weight", _, "reverse" | "noreverse"] => Err(REVERSE.to_owned()),
        _ => Err("only a weight is understood here".to_owned()),
    }
}

fn script<'a>(
    node: &'a Node,
    user: Option<&str>,
    names: &mut Names,
    (changes, unknown): Remarks<'_, 'a>,
) -> Result<TrackedScript, &'static str> {
    let name = names.take(node.word(1));
    if name != node.word(1) {
        changes.push((node.id, "its name has only letters, digits and ._- here"));
    }
    let mut words: Vec<String> = Vec::new();
    let (mut interval, mut timeout) = (Duration::from_secs(1), None);
    let (mut rise, mut fall, mut weighs) = (1, 1, 0);
    let mut user = user;
    for child in node.children() {
        let value = child.word(1);
        match child.word(0) {
            "script" => {
                words = child
                    .arguments()
                    .iter()
                    .flat_map(|word| word.split_whitespace())
                    .map(str::to_owned)
                    .collect();
            }
            "interval" => interval = seconds(value).ok_or("its interval is not understood")?,
            "timeout" => timeout = seconds(value),
            "rise" => rise = value.parse().map_err(|_| "its rise is not understood")?,
            "fall" => fall = value.parse().map_err(|_| "its fall is not understood")?,
            "weight" => weighs = weight(&child.words).map_err(|_| REVERSE)?.unwrap_or_default(),
            "user" => user = Some(value),
            "init_fail" => changes.push((child.id, "until its first run is over, it counts as failed")),
            _ => unknown.push(child),
        }
    }
    let (path, args) = command(words.into_iter())?;
    if timeout.is_some_and(|timeout| timeout > interval) {
        changes.push((node.id, "its timeout is at most its interval"));
    }
    if user.is_none_or(|user| user == "root") {
        changes.push((node.id, "it runs as nobody, as scripts never run as root: see whether it works so"));
    }
    Ok(TrackedScript {
        name: RouterName::new(name).map_err(|_| "its name is not understood")?,
        program: ScriptProbe {
            path,
            args,
            user: user.filter(|user| *user != "root").unwrap_or(SCRIPT_USER).to_owned(),
        },
        interval,
        timeout: timeout.unwrap_or(interval).min(interval),
        rise,
        fall,
        weight: weighs,
    })
}

/// The program and the arguments of a command line that needs no shell.
pub(super) fn command(
    mut words: impl Iterator<Item = String>,
) -> Result<(PathBuf, Vec<String>), &'static str> {
    let path = PathBuf::from(words.next().ok_or("it has no script")?);
    let args: Vec<String> = words.collect();
    let needs_shell = |word: &str| word.contains(['\'', '"', '|', '>', ';', '$', '`']);
    if !path.is_absolute()
        || args.iter().any(|word| needs_shell(word))
        || needs_shell(&path.to_string_lossy())
    {
        return Err("only the absolute path of a program with plain arguments is run: write a script of it");
    }
    Ok((path, args))
}

fn file<'a>(node: &'a Node, (changes, unknown): Remarks<'_, 'a>) -> Result<TrackedFile, &'static str> {
    let mut path = None;
    let mut weighs = 1;
    for child in node.children() {
        match child.word(0) {
            "file" => path = Some(PathBuf::from(child.word(1))),
            "weight" => weighs = weight(&child.words).map_err(|_| REVERSE)?.unwrap_or(1),
            "init_file" => changes.push((child.id, "it is not created: a file that does not exist says 0")),
            _ => unknown.push(child),
        }
    }
    let path = path.filter(|path| path.is_absolute()).ok_or("it has no file with an absolute path")?;
    Ok(TrackedFile { path, weight: weighs })
}
