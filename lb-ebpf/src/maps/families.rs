//! The maps of one address family.

use aya_ebpf::bindings::{BPF_ANY, BPF_NOEXIST};
use lb_common::{
    AddressTables,
    abi::{AclKey, AclRule, Cookie, Flow, FlowKey, FragmentKey, FragmentPorts, Origin, Service, ServiceKey},
    maps as sizes,
    tables::{FibQuery, FibResult, Insert, Tier},
};

use super::{AF_INET, AF_INET6, Entry, Maps, copy, definitions::*, fib, fill, trie_key, update};

macro_rules! address_tables {
    ($address:ty, $flows:ident, $embryonic:ident, $services:ident, $origins:ident, $fragments:ident, $acl:ident, $cookies:ident, $full:path, $family:ident) => {
        impl AddressTables<$address> for Maps {
            type Entry = Entry<$address>;

            #[inline(always)]
            fn flow(&self, tier: Tier, key: &FlowKey<$address>) -> Option<Entry<$address>> {
                match tier {
                    Tier::Established => $flows.get_ptr_mut(key),
                    Tier::Embryonic => $embryonic.get_ptr_mut(key),
                }
                .and_then(Entry::found)
            }

            #[inline(always)]
            fn insert_flow(
                &self,
                tier: Tier,
                key: &FlowKey<$address>,
                flow: &Flow<$address>,
                how: Insert,
            ) -> bool {
                let flags = match how {
                    Insert::Any => BPF_ANY,
                    Insert::IfAbsent => BPF_NOEXIST,
                };
                match tier {
                    Tier::Established => $flows.insert(key, flow, flags.into()),
                    Tier::Embryonic => $embryonic.insert(key, flow, flags.into()),
                }
                .is_ok()
            }

            #[inline(always)]
            fn remove_flow(&self, tier: Tier, key: &FlowKey<$address>) {
                // A missing entry is what is wanted.
                let _ = match tier {
                    Tier::Established => $flows.remove(key),
                    Tier::Embryonic => $embryonic.remove(key),
                };
            }

            #[inline(always)]
            fn full_at(&self) -> u32 {
                FULL_AT.get($full).copied().unwrap_or(0)
            }

            #[inline(always)]
            fn set_full_at(&self, tick: u32) {
                if let Some(kept) = FULL_AT.get_ptr_mut($full) {
                    update(kept, |kept| *kept = tick);
                }
            }

            #[inline(always)]
            fn service(&self, key: &ServiceKey<$address>) -> Option<Service> {
                copy($services.get_ptr(key))
            }

            #[inline(always)]
            fn acl(&self, key: &AclKey<$address>) -> Option<AclRule> {
                $acl.get(trie_key(key)).copied()
            }

            #[inline(always)]
            fn origin(&self, key: &ServiceKey<$address>) -> Option<Origin<$address>> {
                copy($origins.get_ptr(key))
            }

            #[inline(always)]
            fn cookie(&self, key: &FlowKey<$address>) -> Option<Cookie> {
                copy($cookies.get_ptr(key))
            }

            #[inline(always)]
            fn set_cookie(&self, key: &FlowKey<$address>, cookie: &Cookie) -> bool {
                $cookies.insert(key, cookie, BPF_ANY.into()).is_ok()
            }

            #[inline(always)]
            fn fragment(&self, key: &FragmentKey<$address>) -> Option<FragmentPorts> {
                copy($fragments.get_ptr(key))
            }

            #[inline(always)]
            fn insert_fragment(&self, key: &FragmentKey<$address>, ports: &FragmentPorts) {
                // Without room the later fragments are dropped, and counted then.
                let _ = $fragments.insert(key, ports, BPF_ANY.into());
            }

            #[inline(always)]
            fn tell_flow(&self, key: &FlowKey<$address>, flow: &Flow<$address>, state: u8) {
                // What a full ring loses, the next sweep of all flows brings.
                if let Some(mut record) = FLOW_EVENTS.reserve(0) {
                    fill(&mut record, |event| event.fill(key, flow, state, self.now));
                    record.submit(0);
                }
            }

            #[inline(always)]
            fn fib_lookup(&self, query: &FibQuery<$address>) -> FibResult {
                fib::<$address>(self.ctx, query, $family)
            }
        }
    };
}

address_tables!(
    u32,
    FLOWS_V4,
    EMBRYONIC_V4,
    SERVICES_V4,
    ORIGINS_V4,
    FRAGMENTS_V4,
    ACL_V4,
    COOKIES_V4,
    sizes::FULL_V4,
    AF_INET
);
address_tables!(
    V6,
    FLOWS_V6,
    EMBRYONIC_V6,
    SERVICES_V6,
    ORIGINS_V6,
    FRAGMENTS_V6,
    ACL_V6,
    COOKIES_V6,
    sizes::FULL_V6,
    AF_INET6
);
