//! Routes and neighbours of the backends.

use std::net::IpAddr;

use super::links::Seen;
use crate::doctor::diagnose::backends;
use crate::doctor::facts::{Destination, Neighbour, Route};
use crate::model::Config;
use crate::net::{NeighbourState, NetError, NextHop, Requests};

pub(super) async fn inspect(config: &Config, seen: &Seen) -> Result<Vec<Destination>, NetError> {
    let requests = Requests::open()?;
    let mut destinations = Vec::new();
    for (address, name) in backends(config) {
        let route = route(&requests, address, seen).await;
        destinations.push(Destination { address, name, route });
    }
    Ok(destinations)
}

async fn route(requests: &Requests, address: IpAddr, seen: &Seen) -> Route {
    if seen.addresses.iter().any(|local| local.address == address) {
        return Route::Local;
    }
    match requests.next_hop(address).await {
        Err(_) => Route::Unknown,
        Ok(None) => Route::Missing,
        Ok(Some(NextHop { ifindex, address: hop })) => Route::Via {
            interface: seen.name(ifindex).unwrap_or_default().to_owned(),
            hop,
            neighbour: neighbour(ifindex, hop, seen),
        },
    }
}

fn neighbour(ifindex: u32, hop: IpAddr, seen: &Seen) -> Neighbour {
    let entry = seen.neighbours.iter().find(|entry| entry.ifindex == ifindex && entry.address == hop);
    match entry.map(|entry| entry.state) {
        Some(state) if state.is_usable() => Neighbour::Known,
        Some(NeighbourState::Failed) => Neighbour::Failed,
        _ => Neighbour::Missing,
    }
}
