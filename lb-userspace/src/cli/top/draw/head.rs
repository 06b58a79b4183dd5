//! The lines above the table and below it.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{
    super::{screen::Screen, state::State},
    put,
    theme::Theme,
    words,
};
use crate::{api::Overview, cli::render, model::Keyword as _};

/// What `lbd` is, the screens, the rates of everything together and their trends.
pub(super) fn draw(state: &State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let mut lines = area.rows();
    let mut next = || lines.next().unwrap_or(Rect { height: 0, ..area });
    let (first, second, third, fourth) = (next(), next(), next(), next());
    let left = match &state.overview {
        Some(seen) => {
            format!("lbd {} up {}", seen.status.version, render::duration(seen.status.uptime_seconds))
        }
        None => "lbd".to_owned(),
    };
    let right = format!("{}  every {}", state.server, humantime::format_duration(state.interval));
    let right = if state.paused { format!("PAUSED  {right}") } else { right };
    two(&left, &right, first, theme, buffer);
    screens(state, second, theme, buffer);
    put(&rates(state, area.width.into()), third, Style::new(), theme, buffer);
    let half = area.width / 2;
    let total = &state.meters.total;
    for (title, meter, x, width) in
        [("in ", &total.packets_in, 0, half), ("out ", &total.packets_out, half, area.width - half)]
    {
        let room = usize::from(width).saturating_sub(title.len() + 1);
        let bars = words::bars(&meter.trend(), room, theme.unicode);
        let part = Rect { x: fourth.x + x, width, ..fourth };
        buffer.set_string(part.x, part.y, title, theme.quiet());
        let offset = u16::try_from(title.len()).unwrap_or(0);
        buffer.set_string(part.x + offset, part.y, bars, theme.trend());
    }
}

fn two(left: &str, right: &str, line: Rect, theme: Theme, buffer: &mut Buffer) {
    put(left, line, theme.title(), theme, buffer);
    let taken = u16::try_from(left.chars().count()).unwrap_or(u16::MAX).saturating_add(2);
    let room = line.width.saturating_sub(taken);
    let right = words::cut(right, room.into(), theme.unicode);
    let width = u16::try_from(right.chars().count()).unwrap_or(room);
    buffer.set_string(line.right() - width, line.y, right, theme.quiet());
}

fn screens(state: &State, line: Rect, theme: Theme, buffer: &mut Buffer) {
    let mut x = line.x;
    for (index, screen) in Screen::ALL.iter().enumerate() {
        let is_shown = *screen == state.screen;
        let name = match (screen, &state.service) {
            (Screen::Service, Some(service)) if is_shown => service.as_str(),
            _ => screen.as_str(),
        };
        let text = format!("{} {}", index + 1, words::cut(name, 20, theme.unicode));
        let text = if is_shown { format!("[{text}]") } else { format!(" {text} ") };
        let style = if is_shown { theme.title() } else { theme.quiet() };
        let room = line.right().saturating_sub(x);
        buffer.set_stringn(x, line.y, &text, room.into(), style);
        x = x.saturating_add(u16::try_from(text.chars().count()).unwrap_or(u16::MAX)).min(line.right());
    }
}

/// The rates of everything together, in fewer words where there is less room.
fn rates(state: &State, width: usize) -> String {
    let (meters, total) = (&state.meters, &state.meters.total);
    let bits = |bytes: Option<f64>| words::rate(bytes.map(|bytes| bytes * 8.0));
    let active = words::count(state.overview.as_ref().map_or(0, |seen| seen.status.flows));
    let (packets_in, bits_in) = (words::rate(total.packets_in.rate()), bits(total.bytes_in.rate()));
    let (packets_out, bits_out) = (words::rate(total.packets_out.rate()), bits(total.bytes_out.rate()));
    let (new, drops) = (words::rate(total.flows.rate()), words::rate(meters.dropped.rate()));
    let long = format!(
        "in {packets_in} pkt/s {bits_in} bit/s  out {packets_out} pkt/s {bits_out} bit/s  new {new}/s  drops {drops}/s  active {active}"
    );
    if long.len() <= width {
        return long;
    }
    format!(
        "in {packets_in}/s {bits_in}bit  out {packets_out}/s {bits_out}bit  new {new}  drops {drops}  {active} flows"
    )
}

/// What must be seen, whatever the screen.
pub(super) fn alerts(state: &State) -> Vec<String> {
    let mut alerts = Vec::new();
    if let Some((why, attempts)) = &state.failure {
        let since = if state.overview.is_some() { "; what is shown is from before" } else { "" };
        alerts.push(format!("NO ANSWER from lbd ({attempts} tried{since}): {why}"));
    }
    let Some(Overview { status, more, .. }) = &state.overview else { return alerts };
    if status.pins_out_of_reach {
        alerts.push(
            "PINS: their file system was unmounted: `lbctl doctor` has the command that helps".to_owned(),
        );
    }
    if let Some(problem) = &status.problem {
        alerts.push(format!("PROBLEM: {problem}; lbd tries again by itself"));
    }
    if !status.panic.is_empty() {
        alerts.push(format!("PANIC, too few are healthy, so that all are used: {}", status.panic.join(", ")));
    }
    if let Some(until) = &status.confirm_until {
        alerts.push(format!("UNCONFIRMED: the previous configuration comes back at {until}"));
    }
    if *more > 0 {
        alerts.push(format!("{more} more services are not shown"));
    }
    alerts
}

/// What is being written, or the keys.
pub(super) fn foot(state: &State, theme: Theme, line: Rect, buffer: &mut Buffer) {
    if let Some(draft) = &state.draft {
        let what = if state.screen == Screen::Flows { "flows of" } else { "filter" };
        let cursor = if theme.unicode { "█" } else { "_" };
        let wrong = draft.wrong.as_ref().map(|wrong| format!("  ({wrong})")).unwrap_or_default();
        return put(&format!("{what}: {}{cursor}{wrong}", draft.text), line, theme.title(), theme, buffer);
    }
    let filter = state.filter_text();
    let filter = if filter.is_empty() { String::new() } else { format!("/{filter}  ") };
    let own = match state.screen {
        Screen::Overview => "enter backends",
        Screen::Service => "enter flows  esc back",
        Screen::Flows if state.query.list => "esc back",
        Screen::Flows => "enter flows  b by",
        Screen::Drops | Screen::Vrrp | Screen::Interfaces => "esc back",
    };
    let keys = format!("{filter}{own}  s r sort  / filter  p pause  +- pace  ? help  q quit");
    put(&keys, line, theme.quiet(), theme, buffer);
}
