//! HAProxy's configuration: what is `mode tcp`.

mod access;
mod bind;
mod check;
mod lines;
mod proxy;
mod server;

use std::collections::HashSet;
use std::sync::Arc;

use self::bind::Bind;
use self::lines::{Section, sections};
use self::proxy::Settings;
use super::Options;
use super::candidate::{Candidate, Found};
use super::report::{Id, Ledger};

const LAYER_7: &str = "`mode http` works on requests, which a layer 4 balancer does not see; a TCP service in front of HAProxy is what comes near it";

/// Reads the text.
pub(super) fn read(file: &Arc<str>, text: &str, options: &Options, ledger: &mut Ledger) -> Found {
    let sections = sections(file, text, ledger);
    let mut reader = Reader { sections: &sections, options, used: HashSet::new(), found: Found::default() };
    for (index, section) in sections.iter().enumerate() {
        match section.kind() {
            "frontend" | "listen" => reader.proxy(index, ledger),
            _ => {}
        }
    }
    reader.rest(ledger);
    reader.found
}

struct Reader<'a> {
    sections: &'a [Section],
    options: &'a Options,
    /// Sections that were used or reported, by their places.
    used: HashSet<usize>,
    found: Found,
}

impl Reader<'_> {
    /// A frontend with its backend, or a `listen` that is both.
    fn proxy(&mut self, index: usize, ledger: &mut Ledger) {
        let section = &self.sections[index];
        self.used.insert(index);
        let settings = self.settings(index);
        if !settings.is_tcp() {
            return ledger.dropped_block(section.head.id, section.ids(), LAYER_7);
        }
        ledger.used(section.head.id);
        let binds = bind::of_section(section, self.options, ledger);
        let target = self.target(index, ledger);
        if binds.is_empty() && section.kind() == "listen" {
            section.ids().for_each(|id| ledger.dropped_if_open(id, "its `listen` is not imported"));
        }
        match target {
            Some(target) if !binds.is_empty() => self.connect(index, target, &binds, ledger),
            _ => {}
        }
        settings.account(section, ledger);
    }

    /// Makes services of a frontend and the section with its servers.
    fn connect(&mut self, index: usize, target: usize, binds: &[Bind], ledger: &mut Ledger) {
        let section = &self.sections[index];
        if target != index && !self.settings(target).is_tcp() {
            self.used.insert(target);
            let backend = &self.sections[target];
            ledger.dropped_block(backend.head.id, backend.ids(), LAYER_7);
            return ledger.dropped(section.head.id, "its backend is `mode http`");
        }
        self.services(index, target, binds, ledger);
    }

    /// One service for each address that a frontend listens on.
    fn services(&mut self, index: usize, target: usize, binds: &[Bind], ledger: &mut Ledger) {
        let (frontend, backend) = (&self.sections[index], &self.sections[target]);
        let settings = self.settings(target);
        let sources = access::of_section(frontend, ledger);
        ledger.used(backend.head.id);
        self.used.insert(target);
        for bind in binds {
            let name = match binds.len() {
                1 => frontend.name().to_owned(),
                _ => format!("{}-{}", frontend.name(), bind.at.port),
            };
            let mut candidate = Candidate::new(bind.id, name, bind.at);
            candidate.source_nat = true;
            candidate.sources = access::of_family(&sources, bind.at.address.is_ipv4());
            settings.fill(&mut candidate, backend, ledger);
            self.found.services.push(candidate);
        }
        if target != index {
            settings.account(backend, ledger);
        }
    }

    /// The section whose servers a frontend uses.
    fn target(&mut self, index: usize, ledger: &mut Ledger) -> Option<usize> {
        let section = &self.sections[index];
        let unconditional = |word: &str| matches!(word, "if" | "unless");
        let mut target = None;
        for line in &section.lines {
            let conditional = line.words.iter().any(|word| unconditional(word));
            match line.word(0) {
                "default_backend" => target = target.or(Some((line.id, line.word(1).to_owned()))),
                "use_backend" if !conditional => {
                    ledger.used(line.id);
                    target = Some((line.id, line.word(1).to_owned()));
                    break;
                }
                "use_backend" => ledger.dropped(
                    line.id,
                    "conditions need a proxy: all connections go to the default backend; make a service of its own for this",
                ),
                _ => {}
            }
        }
        if let Some(line) = section.last(&["default_backend"]) {
            ledger.used(line.id);
        }
        if section.kind() == "listen" && target.is_none() {
            return Some(index);
        }
        let inherited = self.defaults(index).and_then(|defaults| defaults.last(&["default_backend"]));
        let target = target.or_else(|| inherited.map(|line| (line.id, line.word(1).to_owned())));
        let Some((id, name)) = target else {
            ledger.dropped(section.head.id, "it has no default_backend: no service is made of it");
            return None;
        };
        ledger.used(id);
        let found = self
            .sections
            .iter()
            .position(|section| matches!(section.kind(), "backend" | "listen") && section.name() == name);
        if found.is_none() {
            ledger.dropped(id, format!("there is no backend `{name}`"));
        }
        found
    }

    /// What holds for a section, that of its `defaults` included.
    fn settings(&self, index: usize) -> Settings {
        Settings::of(self.defaults(index), &self.sections[index])
    }

    /// The `defaults` of a section: the one it names, else the last one before it.
    fn defaults(&self, index: usize) -> Option<&Section> {
        let section = &self.sections[index];
        let is_defaults = |section: &&Section| section.kind() == "defaults";
        match section.from() {
            Some(name) => self.sections.iter().filter(is_defaults).find(|defaults| defaults.name() == name),
            None => self.sections[..index].iter().rev().find(is_defaults),
        }
    }

    /// Accounts for the sections that no proxy used.
    fn rest(&self, ledger: &mut Ledger) {
        for (index, section) in self.sections.iter().enumerate() {
            if self.used.contains(&index) {
                continue;
            }
            let inside: Vec<Id> = section.ids().collect();
            match section.kind() {
                "defaults" => {
                    ledger.used(section.head.id);
                    Settings::of(None, section).account(section, ledger);
                }
                "backend" => {
                    let http = !self.settings(index).is_tcp();
                    let reason = if http { LAYER_7 } else { "no imported frontend uses it" };
                    ledger.dropped_block(section.head.id, inside, reason);
                }
                "global" => ledger.dropped_block(
                    section.head.id,
                    inside,
                    "settings of HAProxy's process have no counterpart",
                ),
                _ => ledger.dropped_block(section.head.id, inside, "this section has no counterpart"),
            }
        }
    }
}
