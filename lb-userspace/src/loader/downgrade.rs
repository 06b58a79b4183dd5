//! The way back to an older version: its layout is made of what is pinned, before its `lbd` starts.

use std::fs;

use lb_common::{abi::ABI_VERSION, maps};

use super::{
    LoaderError, PinDirectory,
    detach::remove_version,
    directory::{LINK_PREFIX, file_names},
    layout::{FORMER, Layout, clear_flags},
    shape::{keeps_established, pinned_shape},
    versions::{pin_also, survey},
};

/// Brings everything that is pinned into the layout of an older version, whose `lbd` takes it over when it is started.
/// Forwarding goes on by the program of this version until then, with the maps that the older one will find.
///
/// # Errors
/// [`LoaderError::Locked`] while an `lbd` runs, [`LoaderError::NoDowngrade`], [`LoaderError::Path`], [`LoaderError::Downgrade`].
pub fn prepare_downgrade(directory: &PinDirectory, version: u32) -> Result<(), LoaderError> {
    let layout = FORMER
        .iter()
        .find(|layout| layout.version == version && layout.downgrade)
        .ok_or_else(|| LoaderError::NoDowngrade { version, reason: no_such(version) })?;
    let _lock = directory.lock()?;
    for name in [maps::FLOWS_V4, maps::FLOWS_V6] {
        if pinned_shape(&directory.map(name))?.is_some_and(|shape| keeps_established(name, &shape)) {
            let reason = "its tables of established flows forget the longest idle one: set [limits] table_full to \"evict-idle\", and start this lbd once";
            return Err(LoaderError::NoDowngrade { version, reason: reason.to_owned() });
        }
    }
    let (own, others) = survey(directory)?;
    let attached: Vec<u32> =
        others.iter().filter(|pins| !pins.links.is_empty()).map(|pins| pins.version).collect();
    match attached.as_slice() {
        [] if own.maps.is_empty() => {
            let reason = format!("nothing is pinned at {}", directory.versioned().display());
            return Err(LoaderError::NoDowngrade { version, reason });
        }
        // Done before, maybe not to its end.
        [] => {}
        [only] if *only == version => {}
        _ => {
            let reason = format!("layouts {attached:?} are attached, too: start lbd once, and stop it again");
            return Err(LoaderError::NoDowngrade { version, reason });
        }
    }
    if attached.is_empty() {
        remove_version(&directory.version(version))?;
    }
    move_to(directory, layout)
}

fn no_such(version: u32) -> String {
    if version == ABI_VERSION {
        return "that is the layout of this lbd".to_owned();
    }
    let known = FORMER.iter().filter(|layout| layout.downgrade);
    let known: Vec<_> = known.map(|layout| layout.version.to_string()).collect();
    format!("this lbd can go back to layout {}", known.join(", "))
}

/// Pins maps, then links there, and takes them away here. In this order it may be broken off anywhere: there are links in
/// one of both directories, beside all maps.
fn move_to(directory: &PinDirectory, layout: &Layout) -> Result<(), LoaderError> {
    let (own, there) = (directory.versioned(), directory.version(layout.version));
    fs::create_dir_all(&there).map_err(LoaderError::path(&there, "create this directory"))?;
    for name in layout.same() {
        pin_also(&own.join(name), there.join(name))?;
    }
    // The program of this version goes on without them until the older one takes over.
    clear_flags(&there.join(maps::BACKENDS), layout.new_flags)
        .map_err(|error| LoaderError::Downgrade { directory: there.clone(), error })?;
    for name in file_names(&own)?.iter().filter(|name| name.starts_with(LINK_PREFIX)) {
        pin_also(&own.join(name), there.join(name))?;
    }
    remove_version(&own)
}
