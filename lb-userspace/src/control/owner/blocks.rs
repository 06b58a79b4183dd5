//! Sources that are blocked by request.

use std::sync::Arc;

use super::Control;
use crate::control::{
    Error, Notes, Now,
    blocks::{self, Blocks, NewBlocks},
};

impl Control {
    /// Blocks sources.
    pub(super) fn block(&mut self, wanted: &NewBlocks, now: &Now) -> Result<(), Error> {
        let next = wanted.applied(&self.notes.blocks, now)?;
        self.adopt_blocks(next, now)?;
        let (prefixes, time, reason) = (wanted.prefixes.len(), wanted.time, &wanted.reason);
        tracing::info!(prefixes, replace = wanted.replace, ?time, reason, "sources are blocked by request");
        Ok(())
    }

    /// Blocks sources no more.
    pub(super) fn unblock(&mut self, prefixes: &[ipnet::IpNet], now: &Now) -> Result<(), Error> {
        self.adopt_blocks(blocks::without(&self.notes.blocks, prefixes)?, now)?;
        tracing::info!(prefixes = prefixes.len(), "sources are blocked no more, by request");
        Ok(())
    }

    /// Makes these the sources that are blocked: maps first, then what is written down. If one fails, all are as before.
    fn adopt_blocks(&mut self, next: Blocks, now: &Now) -> Result<(), Error> {
        let before = self.target.block(blocks::ticks(&next, now));
        let planned = self.target.apply(&self.current, &self.health, &self.pools, now.instant);
        let notes = Notes { blocks: Arc::new(next), ..self.notes.clone() };
        let done = planned.and_then(|()| self.store.note(&notes));
        if done.is_err() {
            self.target.block(before);
            let back = self.target.apply(&self.current, &self.health, &self.pools, now.instant);
            self.settled(&back);
            return done;
        }
        self.notes = notes;
        self.blocks_due = blocks::next(&self.notes.blocks, now);
        self.dirty = false;
        self.settled(&done);
        Ok(())
    }

    /// Takes out those whose time is over.
    pub(super) fn expire_blocks(&mut self, now: &Now) {
        if self.blocks_due.is_none_or(|due| now.instant < due) || !blocks::expire(&mut self.notes.blocks, now)
        {
            return;
        }
        self.target.block(blocks::ticks(&self.notes.blocks, now));
        self.blocks_due = blocks::next(&self.notes.blocks, now);
        self.dirty = true;
        if let Err(error) = self.store.note(&self.notes) {
            tracing::warn!(%error, "sources whose block is over are written down as blocked still");
        }
    }
}
