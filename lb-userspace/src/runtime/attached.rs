//! The interfaces the program is on.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use lb_common::abi::Interface;

use crate::{
    loader::{AttachMode, CaptureProgram, LoaderError, Lock, Program, pin_anew},
    model::{Config, InterfaceName, XdpMode},
    net::{Link, View},
    sys::bpf::pinned_xdp_link,
};

/// An interface the program is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attached {
    pub(super) name: String,
    pub(super) ifindex: u32,
    pub(super) mode: AttachMode,
}

/// The list of them, for whoever shows it.
#[derive(Clone, Debug, Default)]
pub(super) struct AttachedList {
    list: Arc<Mutex<Vec<Attached>>>,
    out_of_reach: Arc<AtomicBool>,
    captured: Arc<AtomicBool>,
}

impl AttachedList {
    pub(super) fn snapshot(&self) -> Vec<Attached> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether what is pinned cannot be reached, as its file system was unmounted: with the end of this process forwarding ends.
    pub(super) fn is_out_of_reach(&self) -> bool {
        self.out_of_reach.load(Ordering::Relaxed)
    }

    /// Whether they run the program that captures.
    pub(super) fn is_captured(&self) -> bool {
        self.captured.load(Ordering::Relaxed)
    }

    fn replace(&self, list: Vec<Attached>) {
        *self.list.lock().unwrap_or_else(PoisonError::into_inner) = list;
    }
}

/// Keeps the program on the configured interfaces.
#[derive(Debug)]
pub(super) struct Attacher {
    program: Program,
    wanted: Vec<InterfaceName>,
    mode: XdpMode,
    list: AttachedList,
    /// On the directory of what is pinned.
    lock: Lock,
}

impl Attacher {
    pub(super) fn new(program: Program, config: &Config, lock: Lock) -> Self {
        let wanted = config.interfaces.clone();
        Self { program, wanted, mode: config.xdp_mode, list: AttachedList::default(), lock }
    }

    /// What the data path is to be told of the configured interfaces; all of them must be there.
    pub(super) fn planned(config: &Config, view: &View) -> Result<BTreeMap<u32, Interface>, LoaderError> {
        let links = config.interfaces.iter().map(|name| link(view, name));
        links.map(|link| link.map(|link| (link.ifindex, view.interface(link)))).collect()
    }

    pub(super) fn list(&self) -> AttachedList {
        self.list.clone()
    }

    /// Attaches to all interfaces, and detaches from those that a former configuration named. If one fails, those that were
    /// attached just now are detached again.
    pub(super) fn begin(&mut self, view: &View) -> Result<(), LoaderError> {
        self.program.share_links()?;
        self.leave()?;
        self.program.catch_up()?;
        self.program.switch(&self.wanted);
        let mut fresh = Vec::new();
        for name in self.wanted.clone() {
            match self.attach(&name, view) {
                Ok(was_fresh) => fresh.extend(was_fresh.then_some(name)),
                Err(error) => {
                    for name in fresh {
                        self.program.detach(name.as_str())?;
                    }
                    return Err(error);
                }
            }
        }
        if let Err(error) = self.program.finish() {
            tracing::error!(%error, "flows that began in the last moments may be lost");
        }
        Ok(())
    }

    /// Takes the configured interfaces and mode; whether they are others than before. A new mode is for what is attached later.
    pub(super) fn set_wanted(&mut self, config: &Config) -> bool {
        self.mode = config.xdp_mode;
        let changed = self.wanted != config.interfaces;
        self.wanted.clone_from(&config.interfaces);
        changed
    }

    /// Attaches to interfaces that came (back), forgets those that went; whether something changed. Failures are logged, and
    /// tried again with the next call.
    pub(super) fn follow(&mut self, view: &View) -> bool {
        if !self.reach_pins() {
            return false;
        }
        let before = self.list.snapshot();
        if let Err(error) = self.leave() {
            tracing::error!(%error, "cannot detach");
        }
        for name in self.wanted.clone() {
            let link = view.link_named(name.as_str());
            let known = before.iter().find(|attached| attached.name == name.as_str());
            match (link, known) {
                (None, Some(_)) => self.forget(name.as_str()),
                (Some(link), Some(known)) if link.ifindex == known.ifindex && self.is_linked(known) => {}
                (Some(_), _) => {
                    if let Err(error) = self.attach(&name, view) {
                        tracing::error!(interface = name.as_str(), %error, "cannot attach");
                    }
                }
                (None, None) => {}
            }
        }
        self.list.snapshot() != before
    }

    /// What the data path is told of the interfaces it is on.
    pub(super) fn interfaces(&self, view: &View) -> BTreeMap<u32, Interface> {
        let attached = self.list.snapshot();
        let links = attached.iter().filter_map(|attached| view.link_named(&attached.name));
        links.map(|link| (link.ifindex, view.interface(link))).collect()
    }

    /// Has the interfaces run the program that captures, or the usual one again.
    pub(super) fn capture_with(&mut self, capture: Option<CaptureProgram>) -> Result<(), LoaderError> {
        let switched = self.program.capture_with(capture, &self.wanted);
        self.list.captured.store(self.program.captures(), Ordering::Relaxed);
        switched
    }

    pub(super) fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// Whether what is pinned is where it is looked for. If its file system was unmounted and another one is mounted there, it is
    /// pinned on that.
    fn reach_pins(&mut self) -> bool {
        if self.lock.is_of(self.program.directory()) {
            return true;
        }
        let directory = self.program.directory().root().display().to_string();
        let outcome = pin_anew(self.program.directory(), &self.lock);
        let was_out_of_reach = self.list.out_of_reach.swap(outcome.is_err(), Ordering::Relaxed);
        match outcome {
            Ok(lock) => {
                tracing::warn!(directory, "the BPF file system was another one: everything is pinned again");
                self.lock = lock;
                true
            }
            Err(error) => {
                if !was_out_of_reach {
                    tracing::error!(
                        directory,
                        %error,
                        "what is pinned is out of reach: do not stop lbd, with which forwarding would end; it pins everything again \
                         soon after a BPF file system is mounted"
                    );
                }
                false
            }
        }
    }

    /// Detaches from interfaces that are not configured (any more).
    fn leave(&self) -> Result<(), LoaderError> {
        for name in self.program.directory().linked_interfaces()? {
            if !self.wanted.iter().any(|wanted| wanted.as_str() == name) {
                tracing::info!(interface = name, "not configured any more: detached");
                self.program.detach(&name)?;
                self.strike_out(&name);
            }
        }
        Ok(())
    }

    fn strike_out(&self, name: &str) {
        self.list
            .replace(self.list.snapshot().into_iter().filter(|attached| attached.name != name).collect());
    }

    fn is_linked(&self, attached: &Attached) -> bool {
        let pin = self.program.directory().link(&attached.name);
        pinned_xdp_link(&pin).is_ok_and(|link| link.ifindex == attached.ifindex)
    }

    fn forget(&self, name: &str) {
        tracing::warn!(interface = name, "the interface is gone");
        if let Err(error) = self.program.detach(name) {
            tracing::warn!(interface = name, %error, "cannot remove its link");
        }
        self.strike_out(name);
    }

    /// Whether the program came onto the interface just now.
    fn attach(&mut self, name: &InterfaceName, view: &View) -> Result<bool, LoaderError> {
        let link = link(view, name)?;
        let done = self.program.attach(name.as_str(), link.ifindex, self.mode, link.xdp)?;
        let mode = done.mode.unwrap_or(AttachMode::Native);
        let (interface, how) = (name.as_str(), if done.adopted { "adopted" } else { "attached" });
        match done.fallback {
            Some(reason) => tracing::warn!(
                interface,
                reason,
                "attached in generic mode, which is slower: native mode was refused"
            ),
            None => tracing::info!(interface, ifindex = link.ifindex, mode = mode.as_str(), "{how}"),
        }
        let mut list = self.list.snapshot();
        list.retain(|attached| attached.name != name.as_str());
        list.push(Attached { name: name.as_str().to_owned(), ifindex: link.ifindex, mode });
        self.list.replace(list);
        Ok(!done.adopted)
    }
}

/// Whatever ends `lbd` but a signal that cannot be caught: what forwards from here on costs nothing more.
impl Drop for Attacher {
    fn drop(&mut self) {
        if self.program.captures()
            && let Err(error) = self.capture_with(None)
        {
            tracing::error!(%error, "an interface goes on with the program that captures, which copies nothing any more");
        }
    }
}

/// The link of a configured interface.
fn link<'a>(view: &'a View, name: &InterfaceName) -> Result<&'a Link, LoaderError> {
    view.link_named(name.as_str())
        .ok_or_else(|| LoaderError::NoInterface { interface: name.as_str().to_owned() })
}
