//! The control plane of the load balancer: what `lbd` and `lbctl` are made of.

pub mod health;
pub mod model;
pub mod sys;
