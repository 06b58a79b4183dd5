//! Target `pipeline`: frames one after the other, in a world that the input describes, on the host model and judged by the [reference](crate::reference).
//!
//! Input: the world (4 bytes, see [`world`]), then steps (see [`steps`]). An input ends where the reference knows no more; frames that follow are only tried for what
//! holds of all.

mod steps;
mod world;

use lb_common::{
    Action, Verdict,
    abi::DropReason,
    host::{self, HostTables},
    wire::UDP,
};

use crate::{
    Target,
    input::Input,
    reference::{Known, Reference, Seen},
};
use steps::{Event, Player};

pub use world::{CLIENTS, SERVERS, World};

/// See above.
pub const TARGET: Target = Target { name: "pipeline", run, seeds, longest: 2048, words: &[] };

/// Most steps of an input.
const MOST_STEPS: usize = 48;

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let world = World::read(&mut input);
    if let Err(error) = play(&world, &mut input) {
        panic!("{error}\n{world:#?}");
    }
}

/// What was tried in vain is of no interest: how many frames were judged, and how many of them were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames.
    pub frames: usize,
    /// Those that the reference judged.
    pub judged: usize,
    /// Those that were sent on or answered.
    pub sent: usize,
}

/// Plays an input; what happened, or the first thing that is wrong.
///
/// # Errors
/// The frame, and what is wrong with what became of it.
pub fn counts(bytes: &[u8]) -> Result<Counts, String> {
    let mut input = Input::new(bytes);
    let world = World::read(&mut input);
    play(&world, &mut input)
}

/// The input in which these frames arrive one after the other, by interface, in one of the simple worlds: one service in `nat` or `full-nat`, for the family and
/// protocol of the first frame.
#[must_use]
pub fn input_of(frames: &[(u32, Vec<u8>)], is_full_nat: bool) -> Vec<u8> {
    let first = frames.first().map_or(&[][..], |(_, frame)| frame);
    let is_v6 = first.get(12..14) == Some(&[0x86, 0xdd]);
    let is_udp = first.get(if is_v6 { 20 } else { 23 }) == Some(&UDP);
    let world = u8::from(is_v6) | u8::from(is_udp) << 1 | u8::from(is_full_nat) << 2;
    let mut input = vec![world, 0, 0, 0];
    for (ingress, frame) in frames.iter().take(MOST_STEPS) {
        input.extend([0, steps::choice_of(*ingress)]);
        input.extend((frame.len() as u16).to_le_bytes());
        input.extend(frame);
    }
    input
}

fn play(world: &World, input: &mut Input<'_>) -> Result<Counts, String> {
    let (tables, mut reference) = (world.tables(), world.reference());
    let (mut player, mut counts) = (Player::new(world), Counts::default());
    let mut known = Known::Yes;
    for number in 1..=MOST_STEPS {
        if input.is_empty() {
            break;
        }
        match player.next(input) {
            Event::Wait(ticks) => {
                tables.now.set(tables.now.get() + ticks);
                reference.now += ticks;
            }
            Event::Backend(id, health) => world.set_health(&tables, &mut reference, id, health),
            Event::Frame { ingress, frame } => {
                let (verdict, after, drops) = pass(&tables, ingress, &frame);
                let seen = Seen { ingress, before: &frame, verdict, after: &after, drops: &drops };
                counts.frames += 1;
                if known == Known::Yes {
                    known = judge(&mut reference, &seen, number)?;
                    counts.judged += 1;
                }
                if matches!(verdict.action(), Action::Transmit | Action::Redirect) {
                    counts.sent += 1;
                    player.was_sent(&seen);
                }
            }
        }
    }
    Ok(counts)
}

fn judge(reference: &mut Reference, seen: &Seen<'_>, number: usize) -> Result<Known, String> {
    reference.judge(seen).map_err(|error| {
        format!(
            "step {number}, at interface {}: {error}\n  arrived {:02x?}\n  left    {:02x?}\n  {:?} {:?}\n{reference:#?}",
            seen.ingress, seen.before, seen.after, seen.verdict, seen.drops
        )
    })
}

/// Runs the pipeline, both ways where there are two of them.
fn pass(tables: &HostTables, ingress: u32, frame: &[u8]) -> (Verdict, Vec<u8>, Vec<DropReason>) {
    tables.drops.borrow_mut().clear();
    let (verdict, after) = host::run(frame, ingress, tables);
    let drops = tables.drops.borrow();
    let counted = |reason: &&DropReason| drops.get(&(**reason as u32)).copied().unwrap_or(0) > 0;
    let drops = DropReason::ALL.iter().filter(counted).copied().collect();
    (verdict, after, drops)
}

fn seeds() -> Vec<Vec<u8>> {
    let worlds: Vec<[u8; 4]> = (0..=255_u8)
        .step_by(5)
        .map(|first| [first, first.rotate_left(3) ^ 0x2c, first.rotate_left(5) & 0x0b, first])
        .collect();
    worlds.iter().map(|world| [&world[..], &steps::conversation(world[3])].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_frames_of_the_seeds_are_judged_and_many_are_sent() {
        let mut sum = Counts::default();
        for seed in seeds() {
            let counts = counts(&seed).unwrap();
            sum.frames += counts.frames;
            sum.judged += counts.judged;
            sum.sent += counts.sent;
        }
        println!("{sum:?}");
        assert!(sum.judged * 10 >= sum.frames * 8 && sum.sent * 3 >= sum.frames, "{sum:?}");
    }

    /// The reference is worth something only if it notices.
    #[test]
    fn a_byte_of_a_sent_frame_that_is_wrong_is_noticed() {
        let seed = [&[0_u8, 0, 0, 0][..], &steps::conversation(0)].concat();
        let mut input = Input::new(&seed);
        let world = World::read(&mut input);
        let (tables, mut player) = (world.tables(), Player::new(&world));
        let Event::Frame { ingress, frame } = player.next(&mut input) else {
            panic!("it begins with a frame")
        };
        let (verdict, after, drops) = pass(&tables, ingress, &frame);
        let right = Seen { ingress, before: &frame, verdict, after: &after, drops: &drops };
        assert_eq!(world.reference().judge(&right), Ok(Known::Yes));
        for at in 0..after.len() {
            let mut wrong = after.clone();
            wrong[at] ^= 1;
            assert!(world.reference().judge(&Seen { after: &wrong, ..right }).is_err(), "byte {at}");
        }
        for verdict in
            [Verdict::PASS, Verdict::TRANSMIT, Verdict::redirect(12), Verdict::drop(DropReason::NoRoute)]
        {
            assert!(world.reference().judge(&Seen { verdict, ..right }).is_err(), "{verdict:?}");
        }
    }
}
