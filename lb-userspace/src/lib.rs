//! The control plane of the load balancer: what `lbd` and `lbctl` are made of.

pub mod acl;
pub mod api;
pub mod balance;
pub mod capture;
pub mod cli;
pub mod config;
pub mod control;
pub mod dashboard;
pub mod doctor;
pub mod events;
pub mod explain;
pub mod flows;
pub mod health;
pub mod history;
pub mod import;
pub mod loader;
pub mod maps;
pub mod metrics;
pub mod model;
pub mod net;
pub mod plan;
pub mod reconcile;
pub mod replication;
pub mod runtime;
pub mod sys;
pub mod vrrp;
