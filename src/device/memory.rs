//! The pool: freed memory is kept by size class and handed out again, so that after its first step a
//! training run asks the driver for nothing, and gets the same addresses in the same order.
//!
//! What is handed out while a graph is captured belongs to the graph: it is handed out again within the
//! capture, and to nobody else until the graph is dropped, since a replay writes the same addresses.
use super::{Driver, Ptr};
use crate::Result;
use std::collections::BTreeMap;

/// Bytes: in use now (a graph's memory as a whole), in use at most so far, held from the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MemoryUse {
    pub used: u64,
    pub peak: u64,
    pub held: u64,
}

/// Idle blocks by size class, last freed first out.
type Idle = BTreeMap<usize, Vec<Ptr>>;

pub(super) struct Pool {
    free: Idle,
    keeps: bool,
    usage: MemoryUse,
    /// Which graph a block belongs to.
    owners: BTreeMap<Ptr, u64>,
    graphs: BTreeMap<u64, GraphMemory>,
    /// The graph that allocations go to.
    capturing: Option<u64>,
    graphs_begun: u64,
}

/// A graph's idle blocks.
#[derive(Default)]
struct GraphMemory {
    /// For the rest of its capture.
    free: Idle,
    /// Not to be handed out while it lives: its launches read them as they were before the capture.
    aside: Vec<(usize, Ptr)>,
}

impl Pool {
    pub fn new(keeps: bool) -> Pool {
        Pool {
            free: Idle::new(),
            keeps,
            usage: MemoryUse::default(),
            owners: BTreeMap::new(),
            graphs: BTreeMap::new(),
            capturing: None,
            graphs_begun: 0,
        }
    }

    pub fn usage(&self) -> MemoryUse {
        self.usage
    }

    /// Returns the address and the size class it came from.
    pub fn alloc(&mut self, driver: &dyn Driver, bytes: usize) -> Result<(Ptr, usize)> {
        let class = if self.keeps { size_class(bytes) } else { bytes };
        let again = |idle: &mut Idle| idle.get_mut(&class).and_then(Vec::pop);
        let graph = self.capturing.and_then(|id| self.graphs.get_mut(&id));
        if let Some(ptr) = graph.and_then(|graph| again(&mut graph.free)) {
            return Ok((ptr, class)); // counted as used since the graph has it
        }
        let ptr = match again(&mut self.free) {
            Some(ptr) => ptr,
            None => self.ask_driver(driver, class)?,
        };
        self.owners.extend(self.capturing.map(|graph| (ptr, graph)));
        self.usage.used += class as u64;
        self.usage.peak = self.usage.peak.max(self.usage.used);
        Ok((ptr, class))
    }

    /// Where the driver has no more, what the pool holds idle goes back to it first.
    fn ask_driver(&mut self, driver: &dyn Driver, class: usize) -> Result<Ptr> {
        let ptr = match driver.alloc(class) {
            Err(_) if self.usage.held > self.usage.used => {
                self.release(driver);
                driver.alloc(class)?
            }
            other => other?,
        };
        self.usage.held += class as u64;
        Ok(ptr)
    }

    fn release(&mut self, driver: &dyn Driver) {
        for (class, blocks) in std::mem::take(&mut self.free) {
            for ptr in blocks {
                driver.free(ptr, class);
                self.usage.held -= class as u64;
            }
        }
    }

    pub fn free(&mut self, driver: &dyn Driver, ptr: Ptr, class: usize) {
        let owner = self.owners.get(&ptr).copied();
        let Some(id) = owner.or(self.capturing) else {
            return self.give_back(driver, ptr, class);
        };
        self.owners.insert(ptr, id);
        let graph = self.graphs.entry(id).or_default();
        if owner.is_some() && self.keeps {
            graph.free.entry(class).or_default().push(ptr);
        } else {
            graph.aside.push((class, ptr));
        }
    }

    /// What is allocated from here to `end_graph` belongs to the graph of this number.
    pub fn begin_graph(&mut self) -> u64 {
        self.graphs_begun += 1;
        self.graphs
            .insert(self.graphs_begun, GraphMemory::default());
        self.capturing = Some(self.graphs_begun);
        self.graphs_begun
    }

    pub fn end_graph(&mut self) {
        self.capturing = None;
    }

    /// Its idle blocks are anybody's now, and those in use will be.
    pub fn drop_graph(&mut self, driver: &dyn Driver, id: u64) {
        self.owners.retain(|_, owner| *owner != id);
        let GraphMemory { free, aside } = self.graphs.remove(&id).expect("dropped once");
        let free = free.into_iter();
        let free = free.flat_map(|(class, ptrs)| ptrs.into_iter().map(move |ptr| (class, ptr)));
        for (class, ptr) in free.chain(aside) {
            self.give_back(driver, ptr, class);
        }
    }

    fn give_back(&mut self, driver: &dyn Driver, ptr: Ptr, class: usize) {
        self.usage.used -= class as u64;
        if self.keeps {
            self.free.entry(class).or_default().push(ptr);
        } else {
            driver.free(ptr, class);
            self.usage.held -= class as u64;
        }
    }
}

/// 256 bytes at least, then eight classes an octave: at most one eighth is lost.
fn size_class(bytes: usize) -> usize {
    let bytes = bytes.max(256);
    let step = (bytes.next_power_of_two() / 16).max(256);
    bytes.next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_holds_its_size_and_loses_an_eighth_at_most() {
        for bytes in (1..5000).chain([1 << 20, (1 << 20) + 1, 123_456_789]) {
            let class = size_class(bytes);
            assert!(class >= bytes && class.is_multiple_of(256));
            assert!(
                bytes < 2048 || class - bytes <= bytes / 8,
                "{bytes} got {class}"
            );
        }
    }
}
