//! Colours, and characters that a terminal may not have.

use std::{env, ffi::OsString};

use ratatui::style::{Color, Modifier, Style};

use super::super::table::Tone;

/// How things look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli::top) struct Theme {
    /// With colours. Nothing is told by colours alone.
    pub(in crate::cli::top) coloured: bool,
    /// With other characters than those of ASCII.
    pub(in crate::cli::top) unicode: bool,
}

impl Theme {
    /// As the environment wants it: `NO_COLOR`, and the locale's character set.
    pub(in crate::cli::top) fn of_environment(coloured: bool) -> Self {
        Self::of(coloured, |name| env::var_os(name))
    }

    fn of(coloured: bool, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
        let locale = locale.to_string_lossy().to_ascii_lowercase();
        Self {
            coloured: coloured && set("NO_COLOR").is_none(),
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    /// Of a row.
    pub(super) fn tone(self, tone: Tone) -> Style {
        match tone {
            Tone::Good => Style::new(),
            Tone::Odd => self.fg(Color::Yellow),
            Tone::Bad => self.fg(Color::Red).add_modifier(Modifier::BOLD),
        }
    }

    /// Of a state, by what it means for traffic.
    pub(super) fn state(self, state: &str) -> Style {
        match state {
            "active" | "up" | "established" => self.fg(Color::Green),
            "draining" | "disabled" | "unknown" => self.fg(Color::Yellow),
            "down" | "fault" | "initialize" => self.fg(Color::Red).add_modifier(Modifier::BOLD),
            _ => Style::new(),
        }
    }

    /// Of what helps to read, but need not be read.
    pub(super) fn quiet(self) -> Style {
        if self.coloured { Style::new().add_modifier(Modifier::DIM) } else { Style::new() }
    }

    /// Of titles.
    pub(super) fn title(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Of what is marked, and of what must be seen.
    pub(super) fn marked(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Of a trend.
    pub(super) fn trend(self) -> Style {
        self.fg(Color::Cyan)
    }

    fn fg(self, colour: Color) -> Style {
        if self.coloured { Style::new().fg(colour) } else { Style::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_what_a_terminal_has() {
        let of = |variables: &[(&str, &str)]| {
            let theme = Theme::of(true, |name| {
                let known = variables.iter().find(|(known, _)| *known == name);
                known.map(|(_, value)| OsString::from(value))
            });
            (theme.coloured, theme.unicode)
        };
        assert_eq!(of(&[]), (true, false));
        assert_eq!(of(&[("LANG", "C.UTF-8"), ("NO_COLOR", "")]), (true, true));
        assert_eq!(of(&[("LANG", "de_DE.utf8"), ("NO_COLOR", "1")]), (false, true));
        assert_eq!(of(&[("LANG", "C.UTF-8"), ("LC_ALL", "C")]), (true, false));
        assert_eq!(of(&[("LANG", "C"), ("LC_ALL", ""), ("LC_CTYPE", "en_GB.UTF-8")]), (true, true));
    }
}
