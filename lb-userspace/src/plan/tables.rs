//! Slot tables, computed only when something they depend on changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::SlotTable;
use crate::balance::{Candidate, registry};
use crate::model::Algorithm;

/// What a slot table depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ingredients {
    pub(super) algorithm: Algorithm,
    pub(super) slots: u32,
    pub(super) seed: u64,
    pub(super) candidates: Vec<Candidate>,
    /// Id of each candidate.
    pub(super) ids: Vec<u32>,
}

/// The tables computed last, by service id.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables(BTreeMap<u16, (Ingredients, SlotTable)>);

impl Tables {
    pub(super) fn table(&mut self, service: u16, ingredients: Ingredients) -> SlotTable {
        if let Some((known, table)) = self.0.get(&service)
            && *known == ingredients
        {
            return Arc::clone(table);
        }
        let (balancer, _) = registry(ingredients.algorithm);
        let indexes = balancer.fill(&ingredients.candidates, ingredients.slots, ingredients.seed);
        let table: SlotTable = indexes.iter().map(|index| ingredients.ids[*index as usize]).collect();
        self.0.insert(service, (ingredients, Arc::clone(&table)));
        table
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(u16) -> bool) {
        self.0.retain(|service, _| keep(*service));
    }
}
