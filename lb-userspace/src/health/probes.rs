//! The prepared probes of a configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::prepared::{Prepared, Preparer, Rights, Unusable};
use crate::model::{Service, ServiceName, Shared};

/// The prepared probe of each checked service. A clone costs nothing.
#[derive(Clone, Debug, Default)]
pub struct Probes(Arc<BTreeMap<ServiceName, Arc<Prepared>>>);

/// A service whose probe cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusableProbe {
    /// Position of the service in the configuration.
    pub index: usize,
    /// Its name.
    pub service: ServiceName,
    /// What is wrong with its `health` table.
    pub what: Unusable,
}

/// What becomes of files that were read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// They are taken to be as they were.
    Kept,
    /// They are read again.
    Read,
}

impl Probes {
    /// Prepares the probes of services. Those that are the same in `before` are taken from there; with [`Files::Read`] only if
    /// they need no files.
    ///
    /// # Errors
    /// Every service whose probe cannot be used.
    pub fn prepare(
        services: &[Shared<Service>],
        before: Option<(&Self, Files)>,
        rights: Rights,
    ) -> Result<Self, Vec<UnusableProbe>> {
        let mut preparer = None;
        let (mut probes, mut wrong) = (BTreeMap::new(), Vec::new());
        for (index, service) in services.iter().enumerate() {
            let Some(check) = &service.health else { continue };
            let same = before.and_then(|(before, files)| {
                let kept = |old: &&Arc<Prepared>| files == Files::Kept || !old.reads_files();
                before.of(&service.name).filter(|old| old.probe == check.probe).filter(kept)
            });
            let prepared = match same {
                Some(prepared) => Ok(Arc::clone(prepared)),
                None => preparer.get_or_insert_with(|| Preparer::new(rights)).prepare(&check.probe).map(
                    |prepared| {
                        if check.probe.tls().is_some_and(|tls| !tls.verify) {
                            warn_unverified(service);
                        }
                        Arc::new(prepared)
                    },
                ),
            };
            match prepared {
                Ok(prepared) => drop(probes.insert(service.name.clone(), prepared)),
                Err(what) => wrong.push(UnusableProbe { index, service: service.name.clone(), what }),
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        match before {
            Some((before, _)) if before.has_only(&probes) => Ok(before.clone()),
            _ => Ok(Self(Arc::new(probes))),
        }
    }

    fn has_only(&self, probes: &BTreeMap<ServiceName, Arc<Prepared>>) -> bool {
        self.0.len() == probes.len()
            && self.0.iter().zip(probes).all(|(old, new)| old.0 == new.0 && Arc::ptr_eq(old.1, new.1))
    }

    /// The probe of a service, if it is checked.
    #[must_use]
    pub fn of(&self, service: &ServiceName) -> Option<&Arc<Prepared>> {
        self.0.get(service)
    }

    /// Whether both are the same in memory.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

fn warn_unverified(service: &Service) {
    tracing::warn!(
        service = %service.name,
        "certificates of the backends are NOT verified by their health check (tls_verify = false): whoever answers at their \
         address is taken for them"
    );
}
