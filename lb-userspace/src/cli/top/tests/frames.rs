//! Whole screens, character by character. `LB_UPDATE_GOLDEN=1` writes them anew.

use std::{env, fs, path::Path};

use ratatui::{Terminal, backend::TestBackend, style::Color};

use super::{
    super::{
        draw::{self, Theme, characters},
        pick::{FlowQuery, pick},
        screen::Screen,
        state::State,
    },
    fixture::{begun, flows, shown, top, vrrp},
};
use crate::model::Keyword as _;

const PLAIN: Theme = Theme { coloured: false, unicode: true };

fn frame(state: &State, theme: Theme, size: (u16, u16)) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal.draw(|frame| draw::draw(state, theme, frame.area(), frame.buffer_mut())).unwrap();
    terminal
}

fn text(state: &State, size: (u16, u16)) -> String {
    characters(frame(state, PLAIN, size).backend().buffer())
}

fn assert_golden(name: &str, text: &str) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/top/tests/golden").join(format!("{name}.txt"));
    if env::var_os("LB_UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{}; LB_UPDATE_GOLDEN=1 writes it anew", path.display());
}

/// Every screen with what it shows.
fn screens() -> Vec<(&'static str, State)> {
    let mut list = shown(Screen::Flows, Some(&flows()));
    let pick = pick("web 198.51.100.7").unwrap();
    list.ask(FlowQuery { pick, list: true, ..FlowQuery::default() });
    let wanted = list.wanted();
    let mut again = super::fixture::round(100_000, 1);
    again.besides = Some(Ok(flows()));
    list.take(&wanted, again);
    vec![
        ("overview", shown(Screen::Overview, None)),
        ("service", shown(Screen::Service, None)),
        ("flows", shown(Screen::Flows, Some(&top()))),
        ("flow-list", list),
        ("drops", shown(Screen::Drops, None)),
        ("vrrp", shown(Screen::Vrrp, Some(&vrrp()))),
        ("interfaces", shown(Screen::Interfaces, None)),
    ]
}

#[test]
fn every_screen_fits_on_80_by_24_and_uses_more_where_there_is_more() {
    for (name, state) in screens() {
        assert_golden(name, &text(&state, (80, 24)));
        assert_golden(&format!("{name}-wide"), &text(&state, (160, 16)));
    }
    assert_eq!(screens().len(), Screen::ALL.len() + 1, "each screen, and flows in two ways");
}

#[test]
fn a_screen_is_printed_with_all_its_rows() {
    for (name, state) in screens() {
        assert_golden(&format!("{name}-once"), &draw::text(&state, PLAIN, 100));
    }
}

#[test]
fn nothing_read_yet_no_answer_a_pause_a_filter_and_the_help_are_said() {
    let mut state = begun(Screen::Overview);
    assert!(text(&state, (80, 24)).contains("nothing was read yet"));
    state.fail("/run/lb/lbd.sock: no such socket; `lbd` is not running".to_owned());
    assert!(
        text(&state, (80, 24)).contains("NO ANSWER from lbd (1 tried): /run/lb/lbd.sock: no such socket")
    );
    let mut state = shown(Screen::Overview, None);
    state.fail("gone".to_owned());
    state.fail("gone".to_owned());
    state.paused = true;
    state.filter("wEb").unwrap();
    assert_golden("trouble", &text(&state, (80, 24)));
    state.help = true;
    assert_golden("help", &text(&state, (80, 30)));
}

#[test]
fn a_terminal_of_any_size_is_drawn_on() {
    for (_, mut state) in screens() {
        for size in [(1, 1), (39, 24), (80, 7), (40, 8), (41, 9), (79, 23), (300, 100)] {
            drop(text(&state, size));
        }
        state.help = true;
        drop(text(&state, (40, 8)));
    }
    let state = shown(Screen::Overview, None);
    assert!(text(&state, (39, 24)).starts_with("39 columns and 24 lines are too few"));
}

#[test]
fn colours_are_only_drawn_where_they_are_wanted() {
    let colours = |theme| {
        let terminal = frame(&shown(Screen::Service, None), theme, (80, 24));
        let cells = terminal.backend().buffer().content.iter();
        cells.filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
    };
    assert!(colours(Theme { coloured: true, unicode: true }) > 10);
    assert_eq!(colours(PLAIN), 0);
}

#[test]
fn a_terminal_without_unicode_gets_ascii() {
    for (name, state) in screens() {
        let plain = Theme { coloured: false, unicode: false };
        let text = characters(frame(&state, plain, (80, 24)).backend().buffer());
        assert!(text.is_ascii(), "{name}: {text}");
    }
}
