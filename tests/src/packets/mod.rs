//! The packet cases: one table that runs on the host model and in the kernel, which must agree byte for byte.
//!
//! A [`Case`] is tables, frames, and what is to become of each: the verdict, and the whole frame that is to leave, built
//! from scratch by [`lb_common::host::FrameSpec`] without any part of the pipeline. [`kernel`] copies the model's tables to the maps
//! before each frame, runs the loaded program on it (`BPF_PROG_TEST_RUN`), and compares everything afterwards.

pub mod agreement;
pub mod bulk;
pub mod case;
pub mod cases;
mod copies;
pub mod kernel;
mod maps;
pub mod scene;
pub mod world;

pub use case::{Case, Expect, Fact, Step};
