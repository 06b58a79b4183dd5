//! The lists of sources.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;
use lb_common::abi::{Abi, AclData, AclKey, AclRule, Address};
use lb_common::maps;

use super::MapError;
use super::error::access;
use crate::plan::{AclRules, address_of, address_words};
use crate::sys::bpf::Map;

/// `ACL_V4` and `ACL_V6`.
#[derive(Debug)]
pub(super) struct AclMaps {
    pub(super) v4: Map,
    pub(super) v6: Map,
}

impl AclMaps {
    pub(super) fn write(&self, list: u32, rules: &[(IpNet, AclRule)]) -> Result<(), MapError> {
        write::<u32>(&self.v4, maps::ACL_V4, list, rules)?;
        write::<[u32; 4]>(&self.v6, maps::ACL_V6, list, rules)
    }

    pub(super) fn remove(&self, list: u32, prefixes: &[IpNet]) -> Result<(), MapError> {
        remove::<u32>(&self.v4, maps::ACL_V4, list, prefixes)?;
        remove::<[u32; 4]>(&self.v6, maps::ACL_V6, list, prefixes)
    }

    /// All lists.
    pub(super) fn read(&self) -> Result<BTreeMap<u32, AclRules>, MapError> {
        let mut lists = BTreeMap::new();
        read::<u32>(&self.v4, maps::ACL_V4, &mut lists)?;
        read::<[u32; 4]>(&self.v6, maps::ACL_V6, &mut lists)?;
        Ok(lists.into_iter().map(|(list, rules)| (list, Arc::new(rules))).collect())
    }
}

/// The key of a prefix, if it is of the family.
fn key<A: Address>(list: u32, prefix: &IpNet) -> Option<AclKey<A>> {
    if matches!(prefix, IpNet::V6(_)) != A::IS_V6 {
        return None;
    }
    let bits = AclData::<A>::LIST_BITS + u32::from(prefix.prefix_len());
    Some(AclKey { bits, data: AclData { list, addr: A::from_words(address_words(prefix.network())) } })
}

fn write<A: Address>(
    map: &Map,
    name: &'static str,
    list: u32,
    rules: &[(IpNet, AclRule)],
) -> Result<(), MapError>
where
    AclKey<A>: Abi,
{
    let of_family = rules.iter().filter_map(|(prefix, rule)| Some((key::<A>(list, prefix)?, *rule)));
    let (keys, values): (Vec<_>, Vec<_>) = of_family.unzip();
    map.update_batch(&keys, &values).map_err(access(name, format!("write {} prefixes", keys.len())))
}

fn remove<A: Address>(map: &Map, name: &'static str, list: u32, prefixes: &[IpNet]) -> Result<(), MapError>
where
    AclKey<A>: Abi,
{
    let keys: Vec<_> = prefixes.iter().filter_map(|prefix| key::<A>(list, prefix)).collect();
    // One by one: a batch ends at the first that is not there.
    keys.iter()
        .try_for_each(|key| map.delete(key).map(drop))
        .map_err(access(name, format!("remove {} prefixes", keys.len())))
}

fn read<A: Address>(
    map: &Map,
    name: &'static str,
    lists: &mut BTreeMap<u32, BTreeMap<IpNet, AclRule>>,
) -> Result<(), MapError>
where
    AclKey<A>: Abi,
{
    let entries = map.entries::<AclKey<A>, AclRule>().map_err(access(name, "read it"))?;
    for (AclKey { bits, data }, rule) in entries {
        let address = address_of(data.addr.words(), if A::IS_V6 { 6 } else { 4 });
        let length = bits.saturating_sub(AclData::<A>::LIST_BITS) as u8;
        if let Some(prefix) = address.and_then(|address| IpNet::new(address, length).ok()) {
            lists.entry(data.list).or_default().insert(prefix, rule);
        }
    }
    Ok(())
}
