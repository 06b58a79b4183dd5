//! Test harness of the load balancer: a small network of namespaces, real servers and clients in it, `lbd` in the middle.
//!
//! The end-to-end tests (`tests/`), the demo (`demo`) and the measurements (`measure`) are all made of these parts. Everything
//! that is started or created is stopped and removed when its value is dropped, also after a panic; what a killed run
//! left behind is swept by the next one.

pub mod browser;
pub mod budget;
pub mod capture;
pub mod client;
pub mod clock;
pub mod command;
pub mod config;
pub mod daemon;
pub mod debian;
pub mod demo;
pub mod duo;
pub mod former;
pub mod guest;
pub mod http;
pub mod inject;
pub mod keepalived;
pub mod large;
pub mod measure;
pub mod napi;
pub mod netns;
pub mod packets;
pub mod pattern;
pub mod privileged;
pub mod processor;
pub mod servers;
pub mod site;
pub mod temporary;
pub mod tmux;
pub mod topology;
pub mod xdp;
