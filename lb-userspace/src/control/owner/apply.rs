//! A whole configuration applied, confirmed, or taken back.

use std::{mem, time::Duration};

use super::Control;
use crate::{
    control::{Deadline, Error, Notes, Now, Preview, Replacement, Unconfirmed, pools},
    health::Files,
    model::Config,
};

/// Times that there may be to confirm.
const CONFIRM: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
/// Pause after a rollback that failed.
const RETRY: Duration = Duration::from_secs(5);

impl Control {
    /// What the maps hold, and what they would hold with another configuration.
    ///
    /// # Errors
    /// It does not fit into the maps, or a health check cannot be used on this machine.
    pub fn preview(&self, config: &Config, now: impl Into<Now>) -> Result<Preview, Error> {
        super::prepared(config, Some((&self.probes, Files::Read)))?;
        let health = crate::control::view::health_that_holds(&self.health, &self.current, config);
        let pools = pools::next(&self.pools, config, &health, &self.target, now.into().instant);
        self.target.preview(config, &health, &pools, super::lists(config, None)?)
    }

    /// Makes a text the file and the state. With `confirm`, the previous one comes back unless [`Control::confirm`] is called
    /// in that time.
    pub(super) fn apply(&mut self, text: &str, confirm: Option<Duration>, now: &Now) -> Result<(), Error> {
        self.nothing_waits()?;
        if let Some(time) = confirm.filter(|time| !CONFIRM.contains(time)) {
            let message = format!("{} s is not a time to confirm; expected 1s to 24h", time.as_secs_f64());
            return Err(Error::invalid("confirm", message));
        }
        let Replacement { config, digest, staged } = self.store.stage_text(&self.saved, text)?;
        let unconfirmed = confirm.map(|time| Unconfirmed { deadline: Deadline::after(now, time), digest });
        let notes = Notes { unconfirmed, ..self.notes.clone() };
        let before = mem::replace(&mut self.notes, notes.clone());
        // What waits to be confirmed is written down first: a file without it would stay for ever.
        let commit = |store: &dyn crate::control::Store| {
            if unconfirmed.is_some() {
                store.note(&notes)?;
            }
            staged.commit()
        };
        if let Err(error) = self.adopt(config.clone(), config, Files::Read, commit, now) {
            self.notes = before;
            self.write_notes();
            return Err(error);
        }
        self.confirm_at = confirm.map(|time| now.instant + time);
        self.publish();
        let services = self.current.services.len();
        tracing::info!(services, confirm = ?confirm, "a new configuration is applied");
        Ok(())
    }

    /// Keeps what was applied.
    pub(super) fn confirm(&mut self) -> Result<(), Error> {
        if self.notes.unconfirmed.is_none() {
            return Err(Error::conflict("", "nothing waits to be confirmed"));
        }
        let notes = Notes { unconfirmed: None, ..self.notes.clone() };
        self.store.note(&notes)?;
        self.notes = notes;
        self.confirm_at = None;
        self.publish();
        tracing::info!("the new configuration is confirmed");
        Ok(())
    }

    /// Brings back what was there before the last [`Control::apply`].
    pub(super) fn roll_back(&mut self, now: &Now) -> Result<(), Error> {
        let Replacement { config, staged, .. } = self.store.stage_previous()?;
        let waiting = self.notes.unconfirmed.take();
        if let Err(error) = self.adopt(config.clone(), config, Files::Read, |_| staged.commit(), now) {
            self.notes.unconfirmed = waiting;
            return Err(error);
        }
        if waiting.is_some() {
            self.write_notes();
        }
        self.confirm_at = None;
        self.publish();
        tracing::info!(services = self.current.services.len(), "the previous configuration is back");
        Ok(())
    }

    /// Brings the previous configuration back if the time to confirm the present one is over.
    pub(super) fn roll_back_if_due(&mut self, now: &Now) {
        if self.confirm_at.is_none_or(|at| now.instant < at) {
            return;
        }
        tracing::warn!("the new configuration was not confirmed in time");
        if let Err(error) = self.roll_back(now) {
            tracing::error!(%error, "the previous configuration cannot be brought back; trying again");
            self.confirm_at = Some(now.instant + RETRY);
            self.publish();
        }
    }

    /// Refuses while something waits to be confirmed: a rollback would undo what is done meanwhile.
    pub(super) fn nothing_waits(&self) -> Result<(), Error> {
        match self.notes.unconfirmed {
            None => Ok(()),
            Some(Unconfirmed { deadline, .. }) => Err(Error::conflict(
                "",
                format!(
                    "a new configuration waits to be confirmed until {}: keep it with `lbctl config confirm`, or take it back with \
                     `lbctl config rollback`; then try again",
                    deadline.wall
                ),
            )),
        }
    }

    fn write_notes(&self) {
        if let Err(error) = self.store.note(&self.notes) {
            tracing::error!(%error, "what was written down beside the file is not what it should be");
        }
    }
}
