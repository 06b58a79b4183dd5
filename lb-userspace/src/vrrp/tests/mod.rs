//! Several routers at once, in simulated time; and the requirements of the RFC.

mod invariants;
mod requirements;
mod scenarios;
mod simulator;
mod tracking;
