//! What other versions of `lbd` left pinned, and how this one takes it over.
//!
//! Nothing of the other version is changed before its links run the program of this one: maps with the same layout are pinned
//! here as well, the others are copied, then the links are pinned here as well and switched, and only then the other
//! version's pins go. Killed at any point of this, both versions find what they need.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use lb_common::{
    abi::{ABI_VERSION, Backend},
    maps,
};

use super::{
    LoaderError, PinDirectory,
    detach::remove_version,
    directory::{LINK_PREFIX, file_names},
    kept::OBJECT_PREFIX,
    layout::{self, Layout},
    migrate::{Target, Transfer},
};
use crate::sys::bpf::{MapShape, pinned_xdp_link};

/// What the names of pinned programs begin with; the program's id follows.
pub(super) const PROGRAM_PREFIX: &str = "program-";

/// What one version has pinned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pins {
    pub(super) version: u32,
    /// File names of links.
    pub(super) links: Vec<String>,
    /// Ids of programs.
    pub(super) programs: Vec<u32>,
    /// Ids of the programs that its links run.
    pub(super) running: Vec<u32>,
    /// File names of maps.
    pub(super) maps: Vec<String>,
}

/// What is to be done about other versions.
#[derive(Debug, Default)]
pub(super) struct Takeover {
    /// Directories of other versions, to go when every link runs the program of this one.
    former: Vec<PathBuf>,
    /// The layout whose maps are taken over; `None`: only links are of use.
    layout: Option<&'static Layout>,
    /// Whether the maps of this version are in use already.
    in_use: bool,
    /// Whether what this version left is of no use.
    clear: bool,
    /// Backends whose flags are held back.
    held: Vec<(u32, Backend)>,
}

impl Takeover {
    /// Looks at what is pinned. With `discard`, what cannot be read is not refused; its flows are lost.
    ///
    /// # Errors
    /// [`LoaderError::OtherVersion`], [`LoaderError::Path`]; nothing was changed.
    pub(super) fn plan(
        directory: &PinDirectory,
        defined: &[(&'static str, MapShape)],
        discard: bool,
    ) -> Result<Self, LoaderError> {
        let (own, others) = survey(directory)?;
        let in_use = own.running.iter().any(|program| own.programs.contains(program));
        let mut takeover = Self { in_use, ..Self::default() };
        for pins in &others {
            takeover.consider(
                directory,
                pins,
                &own,
                layout::identify(directory, pins.version, defined),
                discard,
            )?;
        }
        takeover.clear = !takeover.former.is_empty() && !in_use;
        Ok(takeover)
    }

    fn consider(
        &mut self,
        directory: &PinDirectory,
        pins: &Pins,
        own: &Pins,
        layout: Result<&'static Layout, LoaderError>,
        discard: bool,
    ) -> Result<(), LoaderError> {
        let place = directory.version(pins.version);
        let shown = place.display();
        match layout {
            // It is attached, or there is nothing else.
            Ok(layout) if !pins.links.is_empty() || (own.maps.is_empty() && self.layout.is_none()) => {
                self.layout = self.layout.or(Some(layout));
            }
            // Taken over before, but not removed to the end.
            Ok(_) if self.in_use && pins.links.is_empty() => {}
            _ if pins.links.is_empty() => {
                tracing::warn!(directory = %shown, "pins of another version that nobody uses; `lbd --detach` removes them");
                return Ok(());
            }
            // It was about to take over from this version, and did not come far.
            _ if own.runs_all_of(pins) => {
                tracing::warn!(directory = %shown, "removing what an upgrade that was broken off left");
            }
            Err(error) if discard => tracing::warn!(reason = %error, "discarding its flows"),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        self.former.push(place);
        Ok(())
    }

    /// Pins the maps here that have the layout they have now; gives those that have to be converted.
    ///
    /// # Errors
    /// [`LoaderError::Path`].
    pub(super) fn share_maps(&self, directory: &PinDirectory) -> Result<Vec<Transfer>, LoaderError> {
        let own = directory.versioned();
        if self.clear {
            remove_version(&own)?;
        }
        fs::create_dir_all(&own).map_err(LoaderError::path(own, "create this directory"))?;
        let Some(layout) = self.layout else { return Ok(Vec::new()) };
        let former = directory.version(layout.version);
        tracing::info!(from = layout.version, to = ABI_VERSION, "taking over from another version");
        for name in layout.same() {
            pin_also(&former.join(name), directory.map(name))?;
        }
        let converted = layout.converted.iter().map(|converted| Transfer {
            name: converted.name,
            from: former.join(converted.name),
            copy: converted.copy,
        });
        Ok(converted.filter(|transfer| transfer.from.exists()).collect())
    }

    /// Pins the links of other versions here as well, so that they can be switched.
    ///
    /// # Errors
    /// [`LoaderError::Path`].
    pub(super) fn share_links(&self, directory: &PinDirectory) -> Result<(), LoaderError> {
        for former in &self.former {
            for name in file_names(former)?.iter().filter(|name| name.starts_with(LINK_PREFIX)) {
                pin_also(&former.join(name), directory.versioned().join(name))?;
            }
        }
        Ok(())
    }

    /// Takes back what the program of the other version does not know, so that both do the same as long as some links run
    /// the one and some the other.
    ///
    /// # Errors
    /// [`LoaderError::Migrate`].
    pub(super) fn hold_back(&mut self, directory: &PinDirectory) -> Result<(), LoaderError> {
        let Some(layout) = self.layout else { return Ok(()) };
        self.held = layout::clear_flags(&directory.map(maps::BACKENDS), layout.new_flags)
            .map_err(|error| LoaderError::Migrate { name: maps::BACKENDS, error })?;
        Ok(())
    }

    /// Undoes [`Self::hold_back`].
    ///
    /// # Errors
    /// [`LoaderError::Migrate`].
    pub(super) fn release(&mut self, directory: &PinDirectory) -> Result<(), LoaderError> {
        layout::restore_backends(&directory.map(maps::BACKENDS), &std::mem::take(&mut self.held))
            .map_err(|error| LoaderError::Migrate { name: maps::BACKENDS, error })
    }

    /// Removes what other versions have pinned. To be called when every link runs the program of this one.
    ///
    /// # Errors
    /// [`LoaderError::Path`].
    pub(super) fn finish(&mut self) -> Result<(), LoaderError> {
        for former in self.former.drain(..) {
            remove_version(&former)?;
            tracing::info!(directory = %former.display(), "taken over, and removed");
        }
        Ok(())
    }

    /// Whether the program of this version works on its maps before the links are switched.
    pub(super) fn target(&self) -> Target {
        if self.in_use || self.former.is_empty() { Target::InUse } else { Target::Idle }
    }
}

impl Pins {
    /// Whether the links that `other` has pinned run programs of this version.
    fn runs_all_of(&self, other: &Self) -> bool {
        !other.running.is_empty() && other.running.iter().all(|program| self.programs.contains(program))
    }
}

/// What this version has pinned, and what others have, the newest of them first.
pub(super) fn survey(directory: &PinDirectory) -> Result<(Pins, Vec<Pins>), LoaderError> {
    let versions = file_names(directory.root())?;
    let mut found: Vec<Pins> = versions
        .iter()
        .filter_map(|name| version_of(name))
        .map(|version| examine(directory, version))
        .collect::<Result<_, _>>()?;
    found.sort_by_key(|pins| std::cmp::Reverse(pins.version));
    let own = found.iter().position(|pins| pins.version == ABI_VERSION).map(|at| found.remove(at));
    Ok((own.unwrap_or_default(), found))
}

fn examine(directory: &PinDirectory, version: u32) -> Result<Pins, LoaderError> {
    let place = directory.version(version);
    let mut pins = Pins { version, ..Pins::default() };
    for name in file_names(&place)? {
        if name.starts_with(LINK_PREFIX) {
            let path = place.join(&name);
            let link = pinned_xdp_link(&path).map_err(LoaderError::path(path, "open this pinned link"))?;
            // A link whose interface is gone says nothing.
            if link.ifindex != 0 {
                pins.running.push(link.program);
            }
            pins.links.push(name);
        } else if let Some(id) = name.strip_prefix(PROGRAM_PREFIX) {
            pins.programs.extend(id.parse::<u32>().ok());
        } else if !name.starts_with(OBJECT_PREFIX) {
            pins.maps.push(name);
        }
    }
    Ok(pins)
}

/// The version whose directory has this name.
pub(super) fn version_of(name: &str) -> Option<u32> {
    name.strip_prefix('v')?.parse().ok()
}

/// Pins what is pinned at `from` at `to`, too, unless something is there already. No error if nothing is at `from`.
pub(super) fn pin_also(from: &Path, to: PathBuf) -> Result<(), LoaderError> {
    match fs::hard_link(from, &to) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {
            Err(LoaderError::path(to, "pin this, too")(error))
        }
        _ => Ok(()),
    }
}
