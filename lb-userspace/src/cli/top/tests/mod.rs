//! What keys do, and what is on the screen.

mod fixture;
mod frames;
mod keys;
