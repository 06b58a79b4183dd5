//! Puts the program on interfaces: a pinned link is switched to it, otherwise a new link is made and pinned.

use std::{io, path::Path};

use aya::programs::{
    ProgramError, Xdp, XdpMode as AyaMode,
    links::{FdLink, PinnedLink},
    xdp::XdpLink,
};

use super::{LoaderError, Program, directory::remove_file, load::chain};
use crate::{
    model::{InterfaceName, XdpMode},
    sys::bpf::pinned_xdp_link,
};

/// The hook that an interface really uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// In the driver.
    Native,
    /// In the network stack.
    Generic,
}

impl AttachMode {
    /// The word in the configuration, the API and the metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }

    const fn flag(self) -> AyaMode {
        match self {
            Self::Native => AyaMode::Driver,
            Self::Generic => AyaMode::Skb,
        }
    }
}

/// How the program came onto an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The hook; `None`: that of the link that was adopted.
    pub mode: Option<AttachMode>,
    /// Whether a pinned link was adopted, without a gap.
    pub adopted: bool,
    /// Why native mode was not possible.
    pub fallback: Option<String>,
}

impl Program {
    /// Makes `interface`, whose index is `ifindex`, run this program. `current` is the hook that is in use there.
    ///
    /// # Errors
    /// [`LoaderError::Busy`], [`LoaderError::Attach`], [`LoaderError::Adopt`], [`LoaderError::NoRoom`], [`LoaderError::Path`].
    pub fn attach(
        &mut self,
        interface: &str,
        ifindex: u32,
        wanted: XdpMode,
        current: Option<AttachMode>,
    ) -> Result<Attachment, LoaderError> {
        if ifindex >= self.interfaces {
            return Err(LoaderError::NoRoom {
                interface: interface.to_owned(),
                ifindex,
                room: self.interfaces,
            });
        }
        let pin = self.directory.link(interface);
        match pinned_xdp_link(&pin) {
            Ok(link) if link.ifindex == ifindex && fits(wanted, current) => {
                self.adopt(interface)?;
                return Ok(Attachment { mode: current, adopted: true, fallback: None });
            }
            Ok(link) if link.ifindex == ifindex => {
                tracing::warn!(
                    interface,
                    "xdp_mode changed: attaching anew, which interrupts forwarding for a moment"
                );
                remove_file(&pin)?;
            }
            Ok(_) => {
                tracing::info!(interface, "the pinned link is of an interface that is gone: attaching anew");
                remove_file(&pin)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(LoaderError::path(pin, "open this pinned link")(error)),
        }
        let (link, mode, fallback) = attach_new(self.attached()?, interface, ifindex, wanted)?;
        link.pin(&pin)
            .map_err(|error| LoaderError::path(pin, "pin the link here")(io::Error::other(error)))?;
        Ok(Attachment { mode: Some(mode), adopted: false, fallback })
    }

    /// Switches the pinned links of these interfaces to this program, right after one another: in between, the programs of two
    /// versions may not know each other's flows. What cannot be switched is left to [`Program::attach`], which says why.
    pub fn switch(&mut self, interfaces: &[InterfaceName]) {
        let pins = interfaces.iter().map(|interface| self.directory.link(interface.as_str()));
        let links: Vec<_> = pins.filter_map(|pin| open_link(&pin).ok()).collect();
        let Ok(xdp) = self.attached() else { return };
        // The descriptors of the links are closed later, which takes its time.
        let switched: Vec<_> = links.into_iter().filter_map(|link| xdp.attach_to_link(link).ok()).collect();
        for id in switched {
            drop(xdp.take_link(id));
        }
    }

    /// Takes the program off an interface; no error if it is not there.
    ///
    /// # Errors
    /// [`LoaderError::Path`].
    pub fn detach(&self, interface: &str) -> Result<(), LoaderError> {
        remove_file(&self.directory.link(interface))
    }

    pub(super) fn adopt(&mut self, interface: &str) -> Result<(), LoaderError> {
        let pin = self.directory.link(interface);
        let failed = |reason| LoaderError::Adopt { interface: interface.to_owned(), reason };
        let link = open_link(&pin).map_err(failed)?;
        let xdp = self.attached()?;
        let id = xdp.attach_to_link(link).map_err(|error| failed(chain(&error)))?;
        // The pin holds the link; without this the list of links would too, for nothing.
        drop(xdp.take_link(id).map_err(|error| failed(chain(&error)))?);
        Ok(())
    }
}

/// Opens a pinned link; an error says why not.
fn open_link(pin: &Path) -> Result<XdpLink, String> {
    let link = PinnedLink::from_pin(pin).map_err(|error| chain(&error))?;
    XdpLink::try_from(FdLink::from(link)).map_err(|error| chain(&error))
}

/// Whether the hook in use is what the operator wants. An unknown one is not reason enough to interrupt forwarding.
fn fits(wanted: XdpMode, current: Option<AttachMode>) -> bool {
    match wanted {
        XdpMode::Auto => true,
        XdpMode::Native => current != Some(AttachMode::Generic),
        XdpMode::Generic => current != Some(AttachMode::Native),
    }
}

fn attach_new(
    xdp: &mut Xdp,
    interface: &str,
    ifindex: u32,
    wanted: XdpMode,
) -> Result<(FdLink, AttachMode, Option<String>), LoaderError> {
    let first = if wanted == XdpMode::Generic { AttachMode::Generic } else { AttachMode::Native };
    let refusal = match try_attach(xdp, ifindex, first) {
        Ok(link) => return Ok((link, first, None)),
        Err(refusal) => refusal,
    };
    if refusal.busy {
        return Err(LoaderError::Busy { interface: interface.to_owned() });
    }
    let failed = |mode: AttachMode, refusal: Refusal| LoaderError::Attach {
        interface: interface.to_owned(),
        mode: mode.as_str(),
        reason: refusal.reason,
    };
    if wanted != XdpMode::Auto {
        return Err(failed(first, refusal));
    }
    match try_attach(xdp, ifindex, AttachMode::Generic) {
        Ok(link) => Ok((link, AttachMode::Generic, Some(refusal.reason))),
        Err(second) if second.busy => Err(LoaderError::Busy { interface: interface.to_owned() }),
        Err(second) => Err(failed(AttachMode::Generic, second)),
    }
}

struct Refusal {
    busy: bool,
    reason: String,
}

fn try_attach(xdp: &mut Xdp, ifindex: u32, mode: AttachMode) -> Result<FdLink, Refusal> {
    let refused =
        |error: &ProgramError| Refusal { busy: errno(error) == Some(libc::EBUSY), reason: reason(error) };
    let id = xdp.attach_to_if_index(ifindex, mode.flag()).map_err(|error| refused(&error))?;
    let link = xdp.take_link(id).map_err(|error| refused(&error))?;
    // Where BPF links are refused aya attaches by netlink, which cannot be pinned.
    FdLink::try_from(link).map_err(|_| Refusal {
        busy: false,
        reason: "the kernel gives no BPF link for it (Linux 5.9 or later is needed)".to_owned(),
    })
}

fn errno(error: &ProgramError) -> Option<i32> {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = source {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return io.raw_os_error();
        }
        source = error.source();
    }
    None
}

fn reason(error: &ProgramError) -> String {
    match errno(error) {
        Some(libc::EOPNOTSUPP) => "the driver does not support it".to_owned(),
        _ => chain(error),
    }
}
