//! What keys do.

use std::time::Duration;

use crossterm::event::KeyCode;

use super::{
    super::{
        screen::Screen,
        state::{Command, State, Wanted},
    },
    fixture::{begun, flows, round, shown, top},
};
use crate::api::TopBy;

fn press(state: &mut State, keys: &str) -> Command {
    let mut last = Command::Draw;
    for key in keys.chars() {
        let key = match key {
            '\n' => KeyCode::Enter,
            '\x1b' => KeyCode::Esc,
            '\t' => KeyCode::Tab,
            '\x08' => KeyCode::Backspace,
            key => KeyCode::Char(key),
        };
        last = state.press(key, false);
    }
    last
}

fn names(state: &State) -> Vec<String> {
    state.table().rows.into_iter().map(|row| row.key).collect()
}

#[test]
fn digits_and_tab_go_to_screens_and_what_they_need_is_read_at_once() {
    let mut state = shown(Screen::Overview, None);
    for (keys, screen) in
        [("2", Screen::Service), ("6", Screen::Interfaces), ("\t", Screen::Overview), ("\t\t", Screen::Flows)]
    {
        assert_eq!((press(&mut state, keys), state.screen), (Command::Read, screen));
    }
    assert!(state.wanted().flows.is_some());
    assert_eq!(press(&mut state, "9"), Command::Draw);
    press(&mut state, "5");
    assert_eq!(state.wanted(), Wanted { vrrp: true, ..Wanted::default() });
    press(&mut state, "1");
    assert_eq!(state.wanted(), Wanted::default(), "an overview does not ask for backends");
}

#[test]
fn enter_goes_from_a_service_to_the_flows_of_a_backend_and_esc_back() {
    let mut state = shown(Screen::Overview, None);
    assert_eq!(names(&state)[..2], ["web", "dns"], "what has most packets comes first");
    press(&mut state, "j\n");
    assert_eq!((state.screen, state.wanted().backends_of.as_deref()), (Screen::Service, Some("dns")));
    press(&mut state, "\x1bk\n");
    assert_eq!((state.screen, state.service.as_deref()), (Screen::Service, Some("web")));
    press(&mut state, "jj\n");
    assert_eq!(state.screen, Screen::Flows);
    assert_eq!(state.query.path(), "/v1/flows?limit=1000&service=web&backend=b3");
    press(&mut state, "\x1b");
    assert_eq!(state.query.path(), "/v1/flows/top?limit=200&by=client");
    assert_eq!(press(&mut state, "\x1b"), Command::Read);
    assert_eq!(state.screen, Screen::Overview);
}

#[test]
fn a_mark_stays_on_its_row_when_the_order_changes() {
    let mut state = shown(Screen::Service, None);
    press(&mut state, "j");
    assert_eq!(state.view().marked.as_deref(), Some("b2"));
    press(&mut state, "r");
    assert_eq!(names(&state), ["b3", "b2", "b1"]);
    assert_eq!(state.table().position(state.view().marked.as_deref()), Some(1));
    state.press(KeyCode::End, false);
    assert_eq!(state.view().marked.as_deref(), Some("b1"));
    press(&mut state, "jjj");
    assert_eq!(state.view().marked.as_deref(), Some("b1"), "there is none below");
}

#[test]
fn columns_are_sorted_by_what_they_mean() {
    let mut state = shown(Screen::Overview, None);
    press(&mut state, "S");
    let long = names(&state).into_iter().find(|name| name.starts_with("a-")).unwrap();
    assert_eq!(names(&state), ["web", "dns", &long], "by name, descending");
    press(&mut state, "rssssss");
    assert_eq!(state.table().columns[state.view().sort.column].title, "ACTIVE");
    assert_eq!(names(&state), [&long, "dns", "web"], "342 is less than 12000");
}

#[test]
fn a_filter_is_seen_while_it_is_written_and_escape_clears_it() {
    let mut state = shown(Screen::Overview, None);
    press(&mut state, "/DNX");
    assert_eq!(names(&state), Vec::<String>::new());
    press(&mut state, "\x08S\n");
    assert_eq!((names(&state), state.draft.is_none()), (vec!["dns".to_owned()], true));
    press(&mut state, "2\x1b");
    assert_eq!(names(&state), ["dns"], "each screen has its own");
    press(&mut state, "\x1b");
    assert_eq!(names(&state).len(), 3);
    press(&mut state, "/q");
    assert_eq!(state.draft.as_ref().unwrap().text, "q", "q does not quit while something is written");
}

#[test]
fn flows_are_picked_by_the_daemon_and_a_mistake_is_told() {
    let mut state = shown(Screen::Flows, Some(&top()));
    press(&mut state, "/colour=red\n");
    let wrong = state.draft.as_ref().unwrap().wrong.clone().unwrap();
    assert!(wrong.starts_with("colour=red: flows are picked by service"), "{wrong}");
    press(&mut state, "\x1b/dns\n");
    assert_eq!(state.query.path(), "/v1/flows/top?limit=200&by=client&service=dns");
    assert_eq!(press(&mut state, "b"), Command::Read);
    assert_eq!(state.query.by, TopBy::ClientPrefix);
    let wanted = state.wanted();
    let mut refused = round(100_000, 1);
    refused.besides = Some(Err("there is no service `dns`".to_owned()));
    state.take(&wanted, refused);
    assert_eq!(state.table().none, "there is no service `dns`");
}

#[test]
fn the_flows_of_a_group_are_listed_and_what_comes_too_late_is_not_shown() {
    let mut state = shown(Screen::Flows, Some(&top()));
    let before = state.wanted();
    press(&mut state, "j\n");
    assert_eq!(state.query.path(), "/v1/flows?limit=1000&client=2001%3Adb8%3A7%3A1%3A%3A1234");
    let mut late = round(100_000, 1);
    late.besides = Some(Ok(top()));
    state.take(&Wanted { flows: Some(super::super::pick::FlowQuery::default()), ..before }, late);
    assert!(state.top.is_none());
    let mut answer = round(100_002, 1);
    answer.besides = Some(Ok(flows()));
    let wanted = state.wanted();
    state.take(&wanted, answer);
    assert_eq!(names(&state).len(), 3);
}

#[test]
fn many_flows_are_read_less_often() {
    let mut state = shown(Screen::Flows, Some(&top()));
    let mut many = round(100_000, 1);
    many.overview.status.flows = 1_000_000;
    many.besides = Some(Ok(top()));
    let wanted = state.wanted();
    assert!(wanted.flows.is_some());
    state.take(&wanted, many.clone());
    let mut rounds = 0;
    while state.wanted().flows.is_none() {
        rounds += 1;
        state.take(&Wanted::default(), many.clone());
    }
    assert_eq!(rounds, 3, "5 s with 2 s between readings");
}

#[test]
fn a_pause_keeps_what_is_shown_and_the_pace_has_ends() {
    let mut state = shown(Screen::Overview, None);
    assert_eq!((press(&mut state, "p"), state.paused), (Command::Draw, true));
    assert_eq!((press(&mut state, "p"), state.paused), (Command::Read, false));
    press(&mut state, "++++++++");
    assert_eq!(state.interval, Duration::from_millis(250));
    press(&mut state, "-");
    assert_eq!(state.interval, Duration::from_millis(500));
    press(&mut state, "---------");
    assert_eq!(state.interval, Duration::from_secs(60));
}

#[test]
fn it_ends_by_q_and_by_control_c_whatever_is_written() {
    let mut state = begun(Screen::Overview);
    assert_eq!(press(&mut state, "q"), Command::Quit);
    press(&mut state, "/abc");
    assert_eq!(state.press(KeyCode::Char('c'), true), Command::Quit);
    assert_eq!(state.press(KeyCode::Char('z'), true), Command::Suspend);
    let mut state = begun(Screen::Overview);
    assert_eq!((press(&mut state, "?x"), state.help), (Command::Draw, false), "any key ends the help");
    assert_eq!(press(&mut state, "?q"), Command::Quit);
}

#[test]
fn rates_are_unknown_after_a_restart_and_come_back() {
    let mut state = shown(Screen::Overview, None);
    assert_eq!(state.meters.total.packets_in.rate(), Some(4000.0 * 34.0));
    let next = |state: &mut State, seconds| state.take(&Wanted::default(), round(seconds, 1000));
    next(&mut state, 2);
    assert_eq!(state.meters.total.packets_in.rate(), None, "time began anew");
    next(&mut state, 4);
    assert_eq!(state.meters.total.packets_in.rate(), Some(34_000.0));
    state.fail("gone".to_owned());
    assert_eq!(state.meters.total.packets_in.rate(), Some(34_000.0), "what is shown stays");
    next(&mut state, 14);
    assert_eq!((state.meters.total.packets_in.rate(), state.failure.clone()), (Some(34_000.0), None));
}
